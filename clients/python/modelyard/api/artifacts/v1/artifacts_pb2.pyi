from google.protobuf import timestamp_pb2 as _timestamp_pb2
from modelyard.api.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileInfo(_message.Message):
    __slots__ = ("path", "is_dir", "file_size")
    PATH_FIELD_NUMBER: _ClassVar[int]
    IS_DIR_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    path: str
    is_dir: bool
    file_size: int
    def __init__(self, path: _Optional[str] = ..., is_dir: bool = ..., file_size: _Optional[int] = ...) -> None: ...

class ArtifactPart(_message.Message):
    __slots__ = ("digest", "size_bytes")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ArtifactFile(_message.Message):
    __slots__ = ("path", "size_bytes", "digest", "parts")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    digest: str
    parts: _containers.RepeatedCompositeFieldContainer[ArtifactPart]
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[ArtifactPart, _Mapping]]] = ...) -> None: ...

class ObjectUpload(_message.Message):
    __slots__ = ("digest", "size_bytes", "url", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    url: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ObjectDownload(_message.Message):
    __slots__ = ("digest", "size_bytes", "url")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    url: str
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., url: _Optional[str] = ...) -> None: ...

class HeadersEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "run_uuid", "path", "page_token", "experiment_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_UUID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    run_uuid: str
    path: str
    page_token: str
    experiment_id: str
    def __init__(self, run_id: _Optional[str] = ..., run_uuid: _Optional[str] = ..., path: _Optional[str] = ..., page_token: _Optional[str] = ..., experiment_id: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ("root_uri", "files", "next_page_token")
    ROOT_URI_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    root_uri: str
    files: _containers.RepeatedCompositeFieldContainer[FileInfo]
    next_page_token: str
    def __init__(self, root_uri: _Optional[str] = ..., files: _Optional[_Iterable[_Union[FileInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListLoggedModelArtifactsRequest(_message.Message):
    __slots__ = ("model_id", "artifact_directory_path", "page_token", "experiment_id")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_DIRECTORY_PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    artifact_directory_path: str
    page_token: str
    experiment_id: str
    def __init__(self, model_id: _Optional[str] = ..., artifact_directory_path: _Optional[str] = ..., page_token: _Optional[str] = ..., experiment_id: _Optional[str] = ...) -> None: ...

class ListLoggedModelArtifactsResponse(_message.Message):
    __slots__ = ("root_uri", "files", "next_page_token")
    ROOT_URI_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    root_uri: str
    files: _containers.RepeatedCompositeFieldContainer[FileInfo]
    next_page_token: str
    def __init__(self, root_uri: _Optional[str] = ..., files: _Optional[_Iterable[_Union[FileInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckArtifactsWritableRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "experiment_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    experiment_id: str
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., experiment_id: _Optional[str] = ...) -> None: ...

class CheckArtifactsWritableResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeclareArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "files", "experiment_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    files: _containers.RepeatedCompositeFieldContainer[ArtifactFile]
    experiment_id: str
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ArtifactFile, _Mapping]]] = ..., experiment_id: _Optional[str] = ...) -> None: ...

class DeclareArtifactsResponse(_message.Message):
    __slots__ = ("uploads", "expire_time")
    UPLOADS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    uploads: _containers.RepeatedCompositeFieldContainer[ObjectUpload]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, uploads: _Optional[_Iterable[_Union[ObjectUpload, _Mapping]]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CommitArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "files")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    files: _containers.RepeatedCompositeFieldContainer[ArtifactFile]
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ArtifactFile, _Mapping]]] = ...) -> None: ...

class CommitArtifactsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "path", "experiment_id", "own_files_only", "file_only")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    OWN_FILES_ONLY_FIELD_NUMBER: _ClassVar[int]
    FILE_ONLY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    path: str
    experiment_id: str
    own_files_only: bool
    file_only: bool
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., path: _Optional[str] = ..., experiment_id: _Optional[str] = ..., own_files_only: bool = ..., file_only: bool = ...) -> None: ...

class GetArtifactsResponse(_message.Message):
    __slots__ = ("files", "downloads", "missing")
    FILES_FIELD_NUMBER: _ClassVar[int]
    DOWNLOADS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ArtifactFile]
    downloads: _containers.RepeatedCompositeFieldContainer[ObjectDownload]
    missing: _containers.RepeatedCompositeFieldContainer[MissingFile]
    def __init__(self, files: _Optional[_Iterable[_Union[ArtifactFile, _Mapping]]] = ..., downloads: _Optional[_Iterable[_Union[ObjectDownload, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[MissingFile, _Mapping]]] = ...) -> None: ...

class SealManifestRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "path")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    path: str
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class SealManifestResponse(_message.Message):
    __slots__ = ("digest", "manifest", "run_id", "experiment_id", "model_id")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    digest: str
    manifest: bytes
    run_id: str
    experiment_id: str
    model_id: str
    def __init__(self, digest: _Optional[str] = ..., manifest: _Optional[bytes] = ..., run_id: _Optional[str] = ..., experiment_id: _Optional[str] = ..., model_id: _Optional[str] = ...) -> None: ...

class CreatePresignedUploadUrlRequest(_message.Message):
    __slots__ = ("run_id", "path", "expiration", "model_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    path: str
    expiration: int
    model_id: str
    def __init__(self, run_id: _Optional[str] = ..., path: _Optional[str] = ..., expiration: _Optional[int] = ..., model_id: _Optional[str] = ...) -> None: ...

class CreatePresignedUploadUrlResponse(_message.Message):
    __slots__ = ("presigned_url", "headers")
    PRESIGNED_URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    presigned_url: str
    headers: _containers.RepeatedCompositeFieldContainer[HeadersEntry]
    def __init__(self, presigned_url: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[HeadersEntry, _Mapping]]] = ...) -> None: ...

class CreatePresignedDownloadUrlRequest(_message.Message):
    __slots__ = ("run_id", "path", "expiration")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    path: str
    expiration: int
    def __init__(self, run_id: _Optional[str] = ..., path: _Optional[str] = ..., expiration: _Optional[int] = ...) -> None: ...

class CreatePresignedDownloadUrlResponse(_message.Message):
    __slots__ = ("presigned_url", "headers", "file_size")
    PRESIGNED_URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    presigned_url: str
    headers: _containers.RepeatedCompositeFieldContainer[HeadersEntry]
    file_size: int
    def __init__(self, presigned_url: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[HeadersEntry, _Mapping]]] = ..., file_size: _Optional[int] = ...) -> None: ...

class DeleteArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "path", "experiment_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    path: str
    experiment_id: str
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., path: _Optional[str] = ..., experiment_id: _Optional[str] = ...) -> None: ...

class DeleteArtifactsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MissingFile(_message.Message):
    __slots__ = ("path", "reason")
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    reason: str
    def __init__(self, path: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetMissingArtifactsRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "files")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    files: _containers.RepeatedCompositeFieldContainer[MissingFile]
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[MissingFile, _Mapping]]] = ...) -> None: ...

class SetMissingArtifactsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SweepObjectsRequest(_message.Message):
    __slots__ = ("dry_run", "page_token", "force")
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    page_token: str
    force: bool
    def __init__(self, dry_run: bool = ..., page_token: _Optional[str] = ..., force: bool = ...) -> None: ...

class UnusedObject(_message.Message):
    __slots__ = ("digest", "size_bytes")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class SweepObjectsResponse(_message.Message):
    __slots__ = ("objects", "examined", "next_page_token")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[UnusedObject]
    examined: int
    next_page_token: str
    def __init__(self, objects: _Optional[_Iterable[_Union[UnusedObject, _Mapping]]] = ..., examined: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class InspectObjectsRequest(_message.Message):
    __slots__ = ("digests", "reread")
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    REREAD_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    reread: bool
    def __init__(self, digests: _Optional[_Iterable[str]] = ..., reread: bool = ...) -> None: ...

class InspectObjectsResponse(_message.Message):
    __slots__ = ("damaged", "installation_id")
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    damaged: _containers.RepeatedScalarFieldContainer[str]
    installation_id: str
    def __init__(self, damaged: _Optional[_Iterable[str]] = ..., installation_id: _Optional[str] = ...) -> None: ...

class ScrubObjectsRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class DamagedObject(_message.Message):
    __slots__ = ("digest", "size_bytes", "missing", "files", "versions")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    missing: bool
    files: _containers.RepeatedCompositeFieldContainer[FileWithSameBytes]
    versions: _containers.RepeatedCompositeFieldContainer[PinningVersion]
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., missing: bool = ..., files: _Optional[_Iterable[_Union[FileWithSameBytes, _Mapping]]] = ..., versions: _Optional[_Iterable[_Union[PinningVersion, _Mapping]]] = ...) -> None: ...

class ScrubObjectsResponse(_message.Message):
    __slots__ = ("objects", "examined", "examined_bytes", "next_page_token")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_FIELD_NUMBER: _ClassVar[int]
    EXAMINED_BYTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[DamagedObject]
    examined: int
    examined_bytes: int
    next_page_token: str
    def __init__(self, objects: _Optional[_Iterable[_Union[DamagedObject, _Mapping]]] = ..., examined: _Optional[int] = ..., examined_bytes: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PurgeDeletedRequest(_message.Message):
    __slots__ = ("older_than_ms", "dry_run", "page_token")
    OLDER_THAN_MS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    older_than_ms: int
    dry_run: bool
    page_token: str
    def __init__(self, older_than_ms: _Optional[int] = ..., dry_run: bool = ..., page_token: _Optional[str] = ...) -> None: ...

class PurgeDeletedResponse(_message.Message):
    __slots__ = ("experiments", "runs", "logged_models", "files", "files_bytes", "next_page_token")
    EXPERIMENTS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_MODELS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    FILES_BYTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    experiments: int
    runs: int
    logged_models: int
    files: int
    files_bytes: int
    next_page_token: str
    def __init__(self, experiments: _Optional[int] = ..., runs: _Optional[int] = ..., logged_models: _Optional[int] = ..., files: _Optional[int] = ..., files_bytes: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EraseDataRequest(_message.Message):
    __slots__ = ("run_id", "model_id", "experiment_id", "param", "tag", "path", "dataset", "dry_run")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PARAM_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    experiment_id: str
    param: str
    tag: str
    path: str
    dataset: str
    dry_run: bool
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., experiment_id: _Optional[str] = ..., param: _Optional[str] = ..., tag: _Optional[str] = ..., path: _Optional[str] = ..., dataset: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class FileWithSameBytes(_message.Message):
    __slots__ = ("run_id", "model_id", "path")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    model_id: str
    path: str
    def __init__(self, run_id: _Optional[str] = ..., model_id: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class PinningVersion(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class RemainingObject(_message.Message):
    __slots__ = ("digest", "size_bytes", "versions", "files", "removable_time")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    REMOVABLE_TIME_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    versions: _containers.RepeatedCompositeFieldContainer[PinningVersion]
    files: _containers.RepeatedCompositeFieldContainer[FileWithSameBytes]
    removable_time: _timestamp_pb2.Timestamp
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., versions: _Optional[_Iterable[_Union[PinningVersion, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[FileWithSameBytes, _Mapping]]] = ..., removable_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EraseDataResponse(_message.Message):
    __slots__ = ("entries", "files", "files_bytes", "removed", "remaining", "unexamined_objects")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    FILES_BYTES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    UNEXAMINED_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    entries: int
    files: int
    files_bytes: int
    removed: _containers.RepeatedCompositeFieldContainer[UnusedObject]
    remaining: _containers.RepeatedCompositeFieldContainer[RemainingObject]
    unexamined_objects: int
    def __init__(self, entries: _Optional[int] = ..., files: _Optional[int] = ..., files_bytes: _Optional[int] = ..., removed: _Optional[_Iterable[_Union[UnusedObject, _Mapping]]] = ..., remaining: _Optional[_Iterable[_Union[RemainingObject, _Mapping]]] = ..., unexamined_objects: _Optional[int] = ...) -> None: ...
