"""The demo's library: docstrings of the standard library, real documents that lie on every machine."""

from __future__ import annotations

import importlib
import inspect
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from domain.errors import SetupFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Kind: TypeAlias = Literal["module", "class", "function"]

MIN_DOCUMENTS: Final = 150
_MAX_CHARACTERS = 480
"""Of a longer docstring the first paragraphs are taken: they say what a thing is for."""

# A module, then names in it. All of them are there from Python 3.11 to 3.14, and importing them does nothing else.
_LIBRARY = """
abc abstractmethod
argparse ArgumentParser
ast literal_eval walk
asyncio gather wait wait_for run create_task to_thread Queue Lock Event Semaphore TaskGroup timeout shield
atexit register
base64 b64encode b64decode
bisect bisect_left insort_left insort_right
calendar monthrange isleap
collections Counter OrderedDict ChainMap deque defaultdict namedtuple
concurrent.futures as_completed wait
configparser
contextlib contextmanager closing suppress redirect_stdout ExitStack
copy deepcopy
csv reader writer Sniffer
dataclasses dataclass field asdict
datetime date datetime timedelta timezone
decimal Decimal localcontext
difflib SequenceMatcher Differ get_close_matches unified_diff
email message_from_string
enum Enum auto unique
filecmp cmp dircmp
fileinput
fnmatch fnmatch
fractions Fraction
functools lru_cache partial reduce singledispatch total_ordering wraps
gc collect
getpass getpass
glob glob
graphlib TopologicalSorter
gzip open
hashlib pbkdf2_hmac file_digest
heapq heappush heappop merge nlargest
hmac compare_digest
html escape unescape
inspect signature getsource
io StringIO BytesIO TextIOWrapper
ipaddress ip_address ip_network
itertools accumulate chain combinations count cycle groupby islice permutations product zip_longest pairwise
json dumps loads
linecache getline
locale setlocale
logging getLogger basicConfig Formatter Handler
math gcd isclose hypot prod comb
mimetypes guess_type
operator itemgetter attrgetter
os getenv cpu_count scandir makedirs walk urandom
os.path join exists splitext
pathlib Path
pickle dumps loads
platform system
pprint pprint
queue Queue PriorityQueue
random shuffle choice sample randint gauss
re compile sub findall fullmatch split escape
sched
secrets token_hex token_urlsafe
shelve open
shlex split quote
shutil copyfile copytree rmtree which make_archive disk_usage
socket create_connection create_server
sqlite3 connect
statistics mean median stdev quantiles correlation linear_regression
string Template capwords
struct pack unpack
subprocess run Popen
tarfile
tempfile TemporaryDirectory NamedTemporaryFile
textwrap wrap dedent indent shorten
threading Thread Lock Event Timer Barrier Condition
time sleep monotonic perf_counter strftime
timeit timeit
tomllib loads
traceback format_exc
types SimpleNamespace
unicodedata normalize
unittest TestCase
unittest.mock Mock
urllib.parse quote urlencode urljoin
urllib.request urlopen
uuid uuid4 UUID
warnings catch_warnings
weakref WeakValueDictionary finalize
xml.etree.ElementTree parse
zipfile is_zipfile
zlib compress crc32
"""


@dataclass(frozen=True, slots=True)
class LibraryDocument:
    """A docstring; `name` is how one would import it, such as `bisect.insort_left`, and the document's own key."""

    name: str
    kind: Kind
    module: str
    text: str

    def to_input(self) -> dict[str, Any]:
        """Return it as a `DocumentInput`."""
        metadata = {"name": self.name, "kind": self.kind, "module": self.module, "python": python_version()}
        return {"externalId": self.name, "text": self.text, "metadata": metadata}


def python_version() -> str:
    """Return the version whose library this is, such as `3.11`: docstrings change between versions."""
    return ".".join(platform.python_version_tuple()[:2])


def read_library() -> tuple[LibraryDocument, ...]:
    """Return the documents, always the same ones in the same order.

    Raises:
        SetupFault: this Python carries hardly any docstrings.
    """
    documents = tuple(_documents())
    if len(documents) < MIN_DOCUMENTS:
        raise SetupFault(
            f"This Python has only {len(documents)} docstrings for the demo; was it started with -OO or PYTHONOPTIMIZE=2?"
        )
    return documents


def _documents() -> Iterator[LibraryDocument]:
    for line in _LIBRARY.split("\n"):
        module, *names = line.split() or [""]
        if not module:
            continue
        subject = importlib.import_module(module)
        yield from _document(module, "module", module, subject)
        for name in names:
            found: object = getattr(subject, name, None)
            yield from _document(f"{module}.{name}", "class" if inspect.isclass(found) else "function", module, found)


def _document(name: str, kind: Kind, module: str, subject: object) -> Iterator[LibraryDocument]:
    text = inspect.cleandoc(getattr(subject, "__doc__", None) or "")
    if text:
        yield LibraryDocument(name, kind, module, f"{name}: {_shortened(text)}")


def _shortened(text: str) -> str:
    """Return the first paragraphs, as many as fit; of a first one that is too long its beginning."""
    if len(text) <= _MAX_CHARACTERS:
        return text
    end = text.rfind("\n\n", 0, _MAX_CHARACTERS)
    return text[: end if end > 0 else _MAX_CHARACTERS].rstrip()
