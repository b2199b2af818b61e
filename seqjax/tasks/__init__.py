"""Synthetic tasks with known answers: `tasks.adding.sample(key, batch, length)`, and the classes for other settings.

Each class states the definition, its source, and the derivation of its baseline.
"""

from seqjax.errors import ArgumentError, closest
from seqjax.tasks.arithmetic import Adding, Adding1997, Multiplication
from seqjax.tasks.base import Classification, Regression, Task
from seqjax.tasks.binary import BinaryAddition
from seqjax.tasks.brackets import ModularArithmetic
from seqjax.tasks.chaos import Lorenz, MackeyGlass
from seqjax.tasks.groups import WordProblem
from seqjax.tasks.memory import CopyMemory, DelayedXor, SelectiveCopy
from seqjax.tasks.order import TemporalOrder, TemporalOrder1997, TwoSequence
from seqjax.tasks.recall import AssociativeRecall, InductionHeads
from seqjax.tasks.regular import CycleNavigation, EvenPairs, Parity
from seqjax.tasks.stack import StackManipulation
from seqjax.tasks.strings import Duplicate, MissingDuplicate, OddsFirst, Reverse, StringTask

adding = Adding()
adding_1997 = Adding1997()
multiplication = Multiplication()
copy_memory = CopyMemory()
selective_copy = SelectiveCopy()
delayed_xor = DelayedXor()
temporal_order = TemporalOrder()
temporal_order_1997 = TemporalOrder1997()
two_sequence = TwoSequence()
parity = Parity()
even_pairs = EvenPairs()
cycle_navigation = CycleNavigation()
modular_arithmetic = ModularArithmetic()
stack_manipulation = StackManipulation()
reverse = Reverse()
duplicate = Duplicate()
missing_duplicate = MissingDuplicate()
odds_first = OddsFirst()
binary_addition = BinaryAddition()
associative_recall = AssociativeRecall()
induction_heads = InductionHeads()
word_problem_a5 = WordProblem("A5")
word_problem_s5 = WordProblem("S5")
word_problem_z60 = WordProblem("Z60")
mackey_glass = MackeyGlass()
lorenz = Lorenz()

ALL: dict[str, Task] = {task.name: task for task in list(vars().values()) if isinstance(task, Task)}


def named(text: str) -> Task:
    """The ready task called `text`, as "adding" or "word_problem_a5".

    Raises:
        ArgumentError: there is none of this name.
    """
    if text not in ALL:
        raise ArgumentError(f"task {text!r} is not known.{closest(str(text), ALL)}")
    return ALL[text]


__all__ = [
    "ALL",
    "Adding",
    "Adding1997",
    "AssociativeRecall",
    "BinaryAddition",
    "Classification",
    "CopyMemory",
    "CycleNavigation",
    "DelayedXor",
    "Duplicate",
    "EvenPairs",
    "InductionHeads",
    "Lorenz",
    "MackeyGlass",
    "MissingDuplicate",
    "ModularArithmetic",
    "Multiplication",
    "OddsFirst",
    "Parity",
    "Regression",
    "Reverse",
    "SelectiveCopy",
    "StackManipulation",
    "StringTask",
    "Task",
    "TemporalOrder",
    "TemporalOrder1997",
    "TwoSequence",
    "WordProblem",
    "adding",
    "adding_1997",
    "associative_recall",
    "binary_addition",
    "copy_memory",
    "cycle_navigation",
    "delayed_xor",
    "duplicate",
    "even_pairs",
    "induction_heads",
    "lorenz",
    "mackey_glass",
    "missing_duplicate",
    "modular_arithmetic",
    "multiplication",
    "named",
    "odds_first",
    "parity",
    "reverse",
    "selective_copy",
    "stack_manipulation",
    "temporal_order",
    "temporal_order_1997",
    "two_sequence",
    "word_problem_a5",
    "word_problem_s5",
    "word_problem_z60",
]
