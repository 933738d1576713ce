"""Generated names for runs and logged models that are created without one."""

from __future__ import annotations

import secrets

_ADJECTIVES = (
    "agile amber bold brave bright brisk calm candid clever crisp curious deft eager fair fleet "
    "gentle glad golden hardy honest humble jolly keen kind lively lucid merry mild neat nimble "
    "noble patient placid polite proud quick quiet rapid ready rustic serene sharp silent silver "
    "sleek smooth solid steady stoic subtle sunny swift tidy upbeat vivid warm wise witty zesty"
)
_NOUNS = (
    "acorn anchor aspen badger beacon birch bison brook canyon cedar clover comet condor coral "
    "crane cypress dahlia delta dune eagle ember falcon fern finch fjord fox garnet geyser glacier "
    "grove harbor hawk heron ibis iris island jasper kestrel lagoon lark lichen lynx maple marlin "
    "meadow mesa nebula oak orchid osprey otter panda pebble pine prairie quartz raven reef river "
    "robin sequoia sparrow spruce stork summit swan thistle tiger tulip valley walrus willow wren"
)


def invent_name() -> str:
    """Return a random name such as `swift-otter-417`."""
    adjective = secrets.choice(_ADJECTIVES.split())
    noun = secrets.choice(_NOUNS.split())
    return f"{adjective}-{noun}-{100 + secrets.randbelow(900)}"
