"""Texts of every kind."""

from hypothesis import strategies as st

ALL = ("<pad>", "<unk>", "<bos>", "<eos>")
EDGES = ("<pad>", "<bos>", "<eos>")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab \n<>🎉é\u0301\x00"), max_size=30)
LOOKALIKES = "<pad> <unk> <bos>a<eos>"
