"""Why an answer differs from MLflow's."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What a user sees, and why it is better: a sentence or two for the page."""

    ALIASES = (
        "Searches and `latest_versions` show the aliases of each version, so that a list needs no "
        "further requests. MLflow shows them only when one version is read."
    )
    ALIAS_NAMES = (
        "An alias may not be a number, which would be read as a version wherever a version is "
        "named."
    )
    BY_STAGE = (
        "A version is also found by its stage or alias, so that a script needs no search for the "
        "version in Production. MLflow accepts numbers only; a text that neither names is 404 "
        "instead of 400."
    )
    CODE = (
        "Both refuse with 400. MLflow passes on its database's or its parser's refusal, as "
        "BAD_REQUEST or without a code; Modelyard's code and message name the field and the cause."
    )
    CRASH = (
        "MLflow answers 500 or an HTML page. Modelyard answers the request, or refuses it with 400 "
        "and the cause."
    )
    DEFAULTS = (
        "A request may leave out a field that MLflow requires and has a default, or ask for more. "
        "MLflow's clients always send these fields."
    )
    EMPTY = (
        "A description that was removed is an empty text, as one that was never given. MLflow "
        "leaves the field out after the removal, so that clients see None."
    )
    FILE_NAMES = (
        "A path is decoded once, so that every file name comes back as it was stored: `%2e%2e` is "
        "a name that leads nowhere else. MLflow decodes it again, and refuses what then leaves the "
        "folder."
    )
    GRAMMAR = (
        "Filters can do more: OR, NOT, parentheses, IN, IS NULL, and every attribute by name. What "
        "MLflow documents has the same meaning."
    )
    INFINITE = (
        "An infinite metric is read as it was logged. MLflow returns the largest finite number, "
        "which plots and averages take for a measurement."
    )
    LATEST = (
        "A logged model shows the latest value of each metric on each dataset, and filters compare "
        "it, as those of runs do. MLflow lists and compares every value ever logged; the run has "
        "the history at both."
    )
    LIMITS = (
        "Names and descriptions longer than the documented limit are refused, and params and tags "
        "of logged models truncated. MLflow stores them on SQLite and refuses them on other "
        "databases."
    )
    LOCATION = (
        "Artifacts are stored where the server is configured to, which checks every byte it "
        "serves. Another `artifact_location` is refused, because files would not be where the "
        "caller asked for."
    )
    LOGGED_SEARCH = (
        "Logged models are found by their status, and by a dataset's name without its digest, as "
        "MLflow's documentation shows. MLflow's server finds none."
    )
    MORE = (
        "The answer also has what was stored and MLflow leaves out: the model and dataset of a "
        "metric, the size of an empty file, the state after a change."
    )
    MULTIPART = (
        "Large files can be uploaded in parts with every store. MLflow's server does this with "
        "some stores only, and answers 501 otherwise."
    )
    NOT_FOUND = (
        "A write that names something missing or deleted is answered with 404, so that no model "
        "or run refers to nothing. So is a missing alias. MLflow answers 400, or reports success."
    )
    NOW = "A time that is left out means now. MLflow stores the year 1970, or refuses."
    NUMBERS = (
        "A version number is never given twice, so that a model, its audit trail and what serves "
        "it cannot be confused, even after a model was deleted or renamed. MLflow starts again "
        "at 1."
    )
    ONE_HOLDER = (
        "Staging and Production hold at most one version each, so that what serves a stage is "
        "never ambiguous. A transition moves the previous version to None, or to Archived if that "
        "is asked for."
    )
    OWNERS = (
        "Every artifact belongs to a run, a logged model or a version, so that it is found and "
        "deleted with it. MLflow's proxy stores and lists any path."
    )
    PINNED = (
        "A source on this server is read at registration: it must exist and be complete, and the "
        "version reports where its bytes come from."
    )
    PRESIGNED = (
        "URLs for the upload and download of single files work with every store. MLflow's server "
        "issues them with some stores only."
    )
    REPEAT = (
        "A request that is repeated, as after a lost connection, succeeds and changes nothing. "
        "MLflow reports an error, or lists a model twice in its run."
    )
    STATE = (
        "A deleted run takes no files, as it takes no metrics and tags. MLflow stores files of "
        "deleted runs."
    )
    STRICT = (
        "Invalid input is refused with 400 and changes nothing. MLflow reports success and stores "
        "something else, such as 0 for NaN, or ignores it, such as a misspelt status."
    )
    UNVERIFIED = (
        "A source outside this server is a text that no service opens, whatever it names, and the "
        "version is shown as not verified. MLflow refuses some of them, because it would open them."
    )
    VERSION = "The answer names this server, its version and its features."
