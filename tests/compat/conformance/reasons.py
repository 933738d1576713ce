"""Why an answer differs from MLflow's."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A design decision of ours, or a defect of MLflow's, as a sentence for the page."""

    ALIASES = (
        "Every answer with a version includes its aliases, searches and `latest_versions` too."
    )
    ALIAS_NAMES = (
        "An alias may not be a number or the name of a stage: versions are also found by stage."
    )
    BY_STAGE = "A version is found by its number, its stage or its alias."
    CODE = "Both refuse with 400, but the error codes differ: Modelyard's names the actual cause."
    CRASH = (
        "MLflow answers 500 or an HTML page; Modelyard handles the request or refuses it with 400."
    )
    DEFAULTS = "An omitted field has a default; MLflow requires it."
    EMPTY = (
        "A description that was removed is sent as an empty text; MLflow leaves the field out. "
        "Clients read both alike, but for a version's `description`, which is '' instead of None."
    )
    GRAMMAR = (
        "Filters support more: OR, NOT, parentheses, IN, IS NULL, and every attribute by name."
    )
    INFINITE = (
        'Infinities are stored and returned as "Infinity" and "-Infinity", not as the largest '
        "number."
    )
    LIMITS = (
        "Values longer than the documented limit are refused; MLflow truncates params and tags, "
        "and does not check names and descriptions."
    )
    LOCATION = "The server chooses where artifacts are; another `artifact_location` is refused."
    LOGGED_SEARCH = (
        "Logged models are found by their status, and by a dataset's name without its digest, as "
        "MLflow's documentation shows; MLflow's server finds none."
    )
    MORE = "The answer includes stored data that MLflow omits."
    MULTIPART = (
        "Multipart uploads always work; MLflow's server supports them with some stores only."
    )
    NOT_FOUND = "Missing entities are answered with 404; MLflow answers 400 or success."
    NOW = "An omitted time means now."
    NUMBERS = (
        "Version numbers are never reused, not even after a model is deleted; a model cannot be "
        "renamed to a name that has had versions."
    )
    ONE_HOLDER = (
        "Staging and Production hold at most one version each; a transition moves the previous one "
        "out."
    )
    OWNERS = (
        "Artifacts belong to a run, a logged model or a pinned manifest; other paths do not exist."
    )
    PINNED = (
        "A source on this server is read at registration: it must exist, and the version reports "
        "where its bytes come from."
    )
    PRESIGNED = (
        "Presigned URLs of single files always work; MLflow's server supports them with some "
        "stores only."
    )
    REPEAT = "Repeating a request succeeds and changes nothing."
    STATE = (
        "Writes to deleted entities are refused as INVALID_STATE; MLflow reports an invalid "
        "parameter, or writes."
    )
    STRICT = (
        "Invalid input is refused with 400 and changes nothing; MLflow reports success and ignores "
        "it, or interprets it as something else."
    )
    UNVERIFIED = (
        "A source outside this server is stored as text, shown as not verified, and never opened "
        "by a service."
    )
    VERSION = "The answer describes this server and its features."
