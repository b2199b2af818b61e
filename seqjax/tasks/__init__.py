"""Synthetic tasks with known answers: `tasks.adding.sample(key, batch_size, length)`, and classes for other settings.

Each class states the definition, its source, the derivation of its baseline, and an example to read. A new task is a
class in a file of this folder and a ready value here: the command line, the documentation and the tests read `ALL`.
"""

from seqjax.errors import ArgumentError, closest
from seqjax.tasks.arithmetic import Adding, Adding1997, Multiplication
from seqjax.tasks.base import Task
from seqjax.tasks.binary import BinaryAddition
from seqjax.tasks.brackets import ModularArithmetic
from seqjax.tasks.chaos import Lorenz, MackeyGlass
from seqjax.tasks.groups import WordProblem
from seqjax.tasks.memory import CopyMemory, DelayedXor, SelectiveCopy
from seqjax.tasks.order import TemporalOrder, TemporalOrder1997, TwoSequence
from seqjax.tasks.recall import AssociativeRecall, InductionHeads
from seqjax.tasks.regular import CycleNavigation, EvenPairs, ModularArithmeticSimple, Parity
from seqjax.tasks.scoring import Classification, Regression  # noqa: F401
from seqjax.tasks.stack import StackManipulation
from seqjax.tasks.strings import BucketSort, Duplicate, MissingDuplicate, OddsFirst, Reverse, StringTask  # noqa: F401

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
modular_arithmetic_simple = ModularArithmeticSimple()
modular_arithmetic = ModularArithmetic()
stack_manipulation = StackManipulation()
reverse = Reverse()
duplicate = Duplicate()
missing_duplicate = MissingDuplicate()
odds_first = OddsFirst()
bucket_sort = BucketSort()
binary_addition = BinaryAddition()
associative_recall = AssociativeRecall()
induction_heads = InductionHeads()
word_problem_a5 = WordProblem("A5")
word_problem_s5 = WordProblem("S5")
word_problem_z60 = WordProblem("Z60")
mackey_glass = MackeyGlass()
lorenz = Lorenz()

ALL: dict[str, Task] = {task.name: task for task in list(vars().values()) if isinstance(task, Task)}
"""The ready tasks by name."""


def find(name: str) -> Task:
    """The ready task of this name.

    >>> find("word_problem_a5")
    WordProblem('A5')

    Raises:
        ArgumentError: there is none; the message names the closest.
    """
    if name not in ALL:
        raise ArgumentError(f"task {name!r} is not known.{closest(str(name), ALL)}")
    return ALL[name]


# Taken from the names above, so that a task is written once: its class is imported and its ready value is made.
__all__ = ["ALL", "find", *ALL]
__all__ += [name for name, value in list(vars().items()) if isinstance(value, type) and issubclass(value, Task)]
