"""The state of a search with beams, and its one step: what beam, diverse and constrained search share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float, Int
from seqjax.decode import candidates as c
from seqjax.decode.generation import Generation
from seqjax.decode.scoring import Rules, coverage_penalty
from seqjax.decode.strategy import Choice, Sizes, View
from seqjax.decode.tree import gather_tree


class Tables(NamedTuple):
    """What stood in each place in each step, `[B, L, K]`: the path of a hypothesis is found from the parents."""

    tokens: Int[jax.Array, "B L K"]
    parents: Int[jax.Array, "B L K"]
    log_probs: Float[jax.Array, "B L K"]

    def write(self, step: Int[Array, ""], kept: c.Candidates) -> "Tables":
        """The tables with one step more."""
        rows = (kept.tokens, kept.parents, kept.log_probs)
        return Tables(*(table.at[:, step].set(row) for table, row in zip(self, rows)))


class Beams(NamedTuple):
    """What a search keeps.

    live: totals of the hypotheses that go on. ended: those that have ended. closed: rows that need no further step.
    covered: sums of the attention weights of each that goes on, `[B, K, S]`, or None.
    """

    live: Float[jax.Array, "B K"]
    ended: c.Ended
    closed: Bool[jax.Array, " B"]
    covered: Float[jax.Array, "B K S"] | None
    tables: Tables


def begin(sizes: Sizes, width: int, ends: int, covered: Float[jax.Array, "B K S"] | None = None) -> Beams:
    """One empty hypothesis among `width` places, and room for `ends` that end."""
    shape = (sizes.batch, sizes.steps, width)
    tables = Tables(jnp.zeros(shape, jnp.int32), jnp.zeros(shape, jnp.int32), jnp.zeros(shape, sizes.dtype))
    live = c.one_live((sizes.batch,), width, sizes.dtype)
    ended = c.none_ended((sizes.batch,), ends, sizes.dtype)
    return Beams(live, ended, jnp.zeros(sizes.batch, bool), covered, tables)


def totals_of(live: Float[Array, "B K"], view: View) -> Float[jax.Array, "B K V"]:
    """The totals of all continuations; processors see log-probabilities, as Hugging Face's do in a beam search."""
    return c.add(live, view.process(view.log_probs))


def count_candidates(width: int, view: View) -> int:
    """So many that `width` of them can go on though each hypothesis has a candidate for each stop token."""
    return max(2, 1 + len(view.stop)) * width


def must_end(candidates: c.Candidates, view: View) -> Bool[jax.Array, "B M"]:
    """Which cannot go on: after a stop token, and all in the last step."""
    return view.is_stop(candidates.tokens) | (view.history.step + 1 >= view.steps)


def advance(
    beams: Beams, view: View, rules: Rules, candidates: c.Candidates, counts: Bool[Array, "B M"], kept: c.Candidates
) -> Beams:
    """The state after one step: candidates that `counts` marks have ended and are ranked; `kept` is what goes on."""
    step, length = view.history.step, view.history.step + 1
    penalty = None if beams.covered is None else c.take(coverage_penalty(beams.covered), candidates.parents)
    scores = rules.scores(candidates.totals, length, penalty)
    scores = jnp.where(counts & ~beams.closed[..., None], scores, -jnp.inf)
    ended = c.merge(beams.ended, candidates, scores, step)
    closed = beams.closed | ~(rules.bound(kept.totals, length, view.steps) > ended.scores[..., -1])
    if rules.early_stop is True:
        closed |= c.is_full(ended)
    covered = None if beams.covered is None else c.take(beams.covered, kept.parents)
    return Beams(kept.totals, ended, closed, covered, beams.tables.write(step, kept))


def take_best(
    beams: Beams, view: View, rules: Rules, totals: Float[Array, "B K V"], ranks: Float[Array, "B K V"]
) -> tuple[Beams, c.Candidates]:
    """One step: the continuations of the highest ranks go on or, if they are among the K best, end."""
    width = beams.live.shape[-1]
    candidates = c.best(ranks, totals, view.log_probs, count_candidates(width, view))
    ends = must_end(candidates, view)
    kept, first = c.go_on(candidates, ends, width), jnp.arange(ends.shape[-1]) < width
    return advance(beams, view, rules, candidates, ends & first[None], kept), kept


def make_choice(kept: c.Candidates, *searches: Beams) -> Choice:
    """What the loop is told of the hypotheses that go on, in one search or, side by side, in several.

    An empty place reads what one that is not empty reads, so that logits are NaN only where those of a hypothesis are.
    A row is at an end without any result where there is nothing in any search.
    """
    real = kept.totals > -jnp.inf
    some = jnp.argmax(real, axis=-1, keepdims=True)
    tokens, parents = (jnp.where(real, part, c.take(part, some)) for part in (kept.tokens, kept.parents))
    nothing = [jnp.all(jnp.concatenate([s.live, s.ended.scores], axis=-1) == -jnp.inf, axis=-1) for s in searches]
    return Choice(tokens, parents, real, jnp.all(jnp.stack(nothing), axis=0))


def results(beams: Beams, fill: int, count: int) -> Generation:
    """The `count` best hypotheses that have ended; of length 0 and with the score -inf where there are fewer."""
    ended = c.Ended(*(part[..., :count] for part in beams.ended))
    tables = beams.tables
    along = lambda table, fill: gather_tree(table, tables.parents, ended.steps, ended.parents, fill)
    at = jnp.arange(tables.parents.shape[1])[None, None] == ended.steps[..., None]
    tokens = jnp.where(at, ended.tokens[..., None], along(tables.tokens, fill))
    log_probs = jnp.where(at, ended.log_probs[..., None], along(tables.log_probs, 0))
    return Generation(tokens, ended.steps + 1, ended.scores, log_probs)
