"""A registry that is a few dictionaries: what each call replies or refuses, by its definition."""

from __future__ import annotations

from collections import Counter
from typing import NoReturn

from tests.property.naive_models import Model, Place, Version

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.auth.scope import Scope
from modelyard_kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)

HELD = ("Staging", "Production")
DIGEST = "0" * 64
DAMAGE = "object 0 is missing"


class NaiveRegistry:
    """Replies and refusals of calls. After a refusal it is of no use: the caller keeps a copy."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.revisions: Counter[str] = Counter()
        self.is_damaged = False
        self.scope = Scope()
        self.now_ms = 0

    def create_model(self, name: str) -> pb.CreateRegisteredModelResponse:
        if self._seen(name) is not None:
            raise AlreadyExists(f"Registered Model (name={name}) already exists.")
        self._make(name)
        return pb.CreateRegisteredModelResponse(registered_model=self._shown_model(name))

    def create_version(
        self, name: str, source: str, tags: dict[str, str], *, ensure: bool
    ) -> pb.CreateModelVersionResponse:
        if ensure and self._seen(name) is None:
            self._make(name)
        model = self._model(name)
        original = self._original(source)
        if original is not None and not original.is_pinned:
            source = original.source
        version = Version(model.next_number, source, self.now_ms, self.now_ms, tags=dict(tags))
        model.versions[version.number] = version
        model.next_number += 1
        self._changed(model)
        shown = self._shown(model, version)
        if self._is_lost(version):  # its bytes were checked before
            shown.status = pb.READY
            shown.ClearField("status_message")
            shown.ClearField("damage")
        return pb.CreateModelVersionResponse(model_version=shown)

    def get_version(self, name: str, reference: str) -> pb.GetModelVersionResponse:
        model, version = self._found(name, reference)
        return pb.GetModelVersionResponse(model_version=self._shown(model, version))

    def resolve(self, name: str, reference: str) -> pb.ResolveModelResponse:
        model, version = self._found(name, reference)
        if not version.is_pinned:
            raise FailedPrecondition(
                f"Version {version.number} of {name} is not verified: its bytes are not in the "
                f"store. Load it from its source if you trust it: {version.source}"
            )
        return pb.ResolveModelResponse(
            model_version=self._shown(model, version),
            digest=DIGEST,
            run_id="run",
            experiment_id="7",
            revision=self.revisions[name],
        )

    def get_model(self, name: str) -> pb.GetRegisteredModelResponse:
        self._model(name)
        return pb.GetRegisteredModelResponse(registered_model=self._shown_model(name))

    def transition(
        self,
        name: str,
        number: int,
        stage: str,
        archive: bool,  # noqa: FBT001 - as the test calls it
        expected: str,
        etag: str,
    ) -> pb.TransitionModelVersionStageResponse:
        for given, purpose in (
            (archive, "archive_existing_versions"),
            (expected, "expected_holder"),
        ):
            if given and stage not in HELD:
                raise InvalidArgument(
                    f"{purpose} needs a stage with a single holder, Staging or Production; got "
                    f"{stage}."
                )
        model = self._model(name)
        version = self._version(model, number)
        if etag and etag != str(version.revision):
            raise Aborted(
                f"Etag mismatch: the current etag is {version.revision}, the request expected "
                f"'{etag}'. Nothing was written; read the resource again, then retry."
            )
        holder = model.place(stage).holder if stage in HELD else None
        self._expect(stage, expected, holder)
        if stage in HELD:
            self._intact(model, version)
        if holder is not None and holder != number:
            self._move(model, model.versions[holder], "Archived" if archive else "None")
        self._move(model, version, stage)
        if stage in HELD:
            model.place(stage).enter(number)
        self._changed(model)
        return pb.TransitionModelVersionStageResponse(model_version=self._shown(model, version))

    def roll_back_stage(
        self, name: str, stage: str, to: int | None, expected: str
    ) -> pb.RollbackStageResponse:
        if stage not in HELD:
            raise InvalidArgument(
                "A rollback needs a stage with a single holder, Staging or Production; got "
                f"{stage}."
            )
        model = self._model(name)
        place = model.place(stage)
        self._expect(stage, expected, place.holder)
        number = self._reinstated(model, place, f"in {stage}", to)
        taken_out, version = place.holder, model.versions[number]
        place.reinstate(number)
        if taken_out is not None:
            self._move(model, model.versions[taken_out], "Archived")
        self._move(model, version, stage)
        self._changed(model)
        return pb.RollbackStageResponse(model_version=self._shown(model, version))

    def set_alias(self, name: str, alias: str, number: int) -> pb.SetRegisteredModelAliasResponse:
        model = self._model(name)
        self._intact(model, self._version(model, number))
        if model.aliases.get(alias) != number:
            model.aliases[alias] = number
            model.place(f"@{alias}").enter(number)
            self.revisions[name] += 1
        return pb.SetRegisteredModelAliasResponse()

    def delete_alias(self, name: str, alias: str) -> pb.DeleteRegisteredModelAliasResponse:
        model = self._model(name)
        if model.aliases.pop(alias, None) is not None:
            model.place(f"@{alias}").holder = None
            self.revisions[name] += 1
        return pb.DeleteRegisteredModelAliasResponse()

    def roll_back_alias(
        self, name: str, alias: str, to: int | None, expected: str
    ) -> pb.RollbackAliasResponse:
        model = self._model(name)
        place = model.place(f"@{alias}")
        self._expect(f"@{alias}", expected, place.holder)
        number = self._reinstated(model, place, f"@{alias}", to)
        place.reinstate(number)
        model.aliases[alias] = number
        self.revisions[name] += 1
        return pb.RollbackAliasResponse(model_version=self._shown(model, model.versions[number]))

    def set_tag(
        self, name: str, number: int | None, key: str, value: str
    ) -> pb.SetRegisteredModelTagResponse | pb.SetModelVersionTagResponse:
        model = self._model(name)
        version = None if number is None else self._version(model, number)
        tags = model.tags if version is None else version.tags
        if tags.get(key) != value:
            tags[key] = value
            self._revise(model, version)
        reply = (
            pb.SetRegisteredModelTagResponse if version is None else pb.SetModelVersionTagResponse
        )
        return reply()

    def delete_tag(
        self, name: str, number: int | None, key: str
    ) -> pb.DeleteRegisteredModelTagResponse | pb.DeleteModelVersionTagResponse:
        model = self._model(name)
        version = None if number is None else self._version(model, number)
        tags = model.tags if version is None else version.tags
        if tags.pop(key, None) is not None:
            self._revise(model, version)
        if version is None:
            return pb.DeleteRegisteredModelTagResponse()
        return pb.DeleteModelVersionTagResponse()

    def delete_version(self, name: str, number: int) -> pb.DeleteModelVersionResponse:
        model = self._model(name)
        version = self._version(model, number)
        aliases = sorted(alias for alias, target in model.aliases.items() if target == number)
        del model.versions[number]
        for alias in aliases:
            del model.aliases[alias]
        for place in model.places.values():
            place.leave(number)
        self._changed(model)
        released = pb.ReleasedVersion(version=str(number), stage=version.stage, aliases=aliases)
        is_released = aliases or version.stage in HELD
        return pb.DeleteModelVersionResponse(released=[released] if is_released else [])

    def rename(self, name: str, new_name: str) -> pb.RenameRegisteredModelResponse:
        """Rename a model to a name that no other model had."""
        model = self.models.pop(name)
        model.name = new_name
        self.models[new_name] = model
        self.revisions[name] += 1
        self._changed(model)
        return pb.RenameRegisteredModelResponse(registered_model=self._shown_model(new_name))

    def set_damage(self, *, is_damaged: bool) -> pb.SetDamagedManifestsResponse:
        self.is_damaged = is_damaged
        return pb.SetDamagedManifestsResponse()

    def _seen(self, name: str) -> Model | None:
        return self.models.get(name) if self.scope.has_model(name) else None

    def _model(self, name: str) -> Model:
        model = self._seen(name)
        if model is None:
            raise NotFound(f"Registered Model with name={name} not found")
        return model

    def _make(self, name: str) -> None:
        if not self.scope.has_model(name):
            raise PermissionDenied(
                f"The token 'robot' is restricted to models named {self.scope.models[0]}; "
                f"'{name}' is none of them."
            )
        self.models[name] = Model(name, self.now_ms, self.now_ms)
        self.revisions[name] += 1

    def _version(self, model: Model, number: int) -> Version:
        if number not in model.versions:
            self._no_version(model.name, number)
        return model.versions[number]

    def _no_version(self, name: str, number: int) -> NoReturn:
        raise NotFound(f"Model Version (name={name}, version={number}) not found")

    def _found(self, name: str, reference: str) -> tuple[Model, Version]:
        model = self._seen(name)
        if reference.isdecimal():
            if model is None or int(reference) not in model.versions:
                self._no_version(name, int(reference))
            return model, model.versions[int(reference)]
        model = self._model(name)
        if reference in {"None", "Archived", *HELD}:
            wanted = [n for n, version in model.versions.items() if version.stage == reference]
            refusal = f"No version of Registered Model {name} is in stage {reference}"
        elif reference == "latest":
            wanted, refusal = list(model.versions), f"Registered Model {name} has no versions"
        else:
            wanted = [model.aliases[reference]] if reference in model.aliases else []
            refusal = (
                f"Registered Model {name} has no alias {reference}, and there is no stage of that "
                "name"
            )
        if not wanted:
            raise NotFound(refusal)
        return model, model.versions[max(wanted)]

    def _original(self, source: str) -> Version | None:
        """Return the version that a source names."""
        if not source.startswith("models:/"):
            return None
        name, reference = source.removeprefix("models:/").rsplit("/", 1)
        return self._found(name, reference)[1]

    def _expect(self, place: str, expected: str, holder: int | None) -> None:
        if expected and expected != ("none" if holder is None else str(holder)):
            held = "no version" if holder is None else f"version {holder}"
            wanted = "no version" if expected == "none" else f"version {expected}"
            raise Aborted(
                f"Holder mismatch: {place} is held by {held}, the request expected {wanted}. "
                "Nothing was written; read it again, then retry."
            )

    def _intact(self, model: Model, version: Version) -> None:
        if self.is_damaged and version.is_pinned:
            raise FailedPrecondition(
                f"Version {version.number} of {model.name} is damaged: {DAMAGE}"
            )

    def _reinstated(self, model: Model, place: Place, held: str, to: int | None) -> int:
        ready = {n for n, version in model.versions.items() if not self._is_lost(version)}
        possible = place.possible(ready)
        wanted = [n for n in possible if (n not in place.out if to is None else n == to)]
        if wanted:
            return wanted[0]
        listed = ", ".join(map(str, possible)) or "none"
        if to is None:
            raise FailedPrecondition(
                f"Nothing to roll back to: no other version of {model.name} that was {held} still "
                "exists, is ready and was not taken out by a rollback. Versions that `to` can "
                f"name: {listed}."
            )
        raise FailedPrecondition(
            f"Version {to} of {model.name} cannot be rolled back to: it is no other version that "
            f"was {held}, still exists and is ready. Versions that `to` can name: {listed}."
        )

    def _is_lost(self, version: Version) -> bool:
        return self.is_damaged and version.is_pinned

    def _move(self, model: Model, version: Version, stage: str) -> None:
        for held in HELD:
            if held != stage:
                model.place(held).leave(version.number)
        version.stage, version.changed_ms = stage, self.now_ms
        version.revision += 1

    def _changed(self, model: Model) -> None:
        model.changed_ms = self.now_ms
        self.revisions[model.name] += 1

    def _revise(self, model: Model, version: Version | None) -> None:
        if version is not None:
            version.revision += 1
        self.revisions[model.name] += 1

    def _shown_model(self, name: str) -> pb.RegisteredModel:
        model = self.models[name]
        by_stage: dict[str, Version] = {}
        for _, version in sorted(model.versions.items()):
            by_stage[version.stage] = version  # the place in the order is that of the lowest
        return pb.RegisteredModel(
            name=name,
            creation_timestamp=model.made_ms,
            last_updated_timestamp=model.changed_ms,
            user_id="ada",
            latest_versions=[self._shown(model, version) for version in by_stage.values()],
            tags=[pb.RegisteredModelTag(key=k, value=v) for k, v in sorted(model.tags.items())],
            aliases=[
                pb.RegisteredModelAlias(alias=alias, version=str(number))
                for alias, number in sorted(model.aliases.items())
            ],
            etag=str(self.revisions[name]),
            revision=self.revisions[name],
            deletion_protection=False,
        )

    def _shown(self, model: Model, version: Version) -> pb.ModelVersion:
        message = pb.ModelVersion(
            name=model.name,
            version=str(version.number),
            creation_timestamp=version.made_ms,
            last_updated_timestamp=version.changed_ms,
            user_id="ada",
            current_stage=version.stage,
            description="",
            source=version.source,
            run_id="run" if version.is_pinned else "",
            status=pb.READY,
            tags=[pb.ModelVersionTag(key=k, value=v) for k, v in sorted(version.tags.items())],
            run_link="",
            aliases=sorted(a for a, number in model.aliases.items() if number == version.number),
            etag=str(version.revision),
            digest=DIGEST if version.is_pinned else "",
            verified=version.is_pinned,
        )
        if version.is_pinned:
            message.experiment_id, message.has_model = "7", True
        if self._is_lost(version):
            message.status = pb.FAILED_REGISTRATION
            message.status_message = message.damage = DAMAGE
        return message
