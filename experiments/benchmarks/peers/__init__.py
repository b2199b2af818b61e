"""seqjax beside its peers on the same work, with the same weights, every framework in a process of its own."""
