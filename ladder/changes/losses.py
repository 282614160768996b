"""What a change may lose: data, the keys that read it, and what guards both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ladder.changes.fields import at, items
from ladder.changes.report import Caution, Danger, Fate
from ladder.changes.resources import Pair
from ladder.recording import Resource

__all__ = ["losses"]

BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
NAMESPACE = "kubernetes:core/v1:Namespace"

_HOLDS = {
    BUCKET: "its objects",
    KEY: "whatever is encrypted with it",
    NAMESPACE: "everything in it",
    "kubernetes:core/v1:PersistentVolumeClaim": "its volume",
    "kubernetes:core/v1:PersistentVolume": "its volume",
}
"""What is lost with a resource of the type."""

_ALIAS = "aws:kms/alias:Alias"
_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
_LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_QUOTA = "kubernetes:core/v1:ResourceQuota"
_LIMITS = "kubernetes:core/v1:LimitRange"

_YEAR = 365
_MODES = {"GOVERNANCE": 1, "COMPLIANCE": 2}


def losses(stack: str, pairs: Sequence[Pair]) -> Iterator[Caution]:
    """Every caution about data, keys and their protection in one stack."""
    anew = {(pair.resource.type, pair.resource.id): pair.resource for pair in pairs if pair.fate is Fate.ANEW}
    going = {pair.resource.id for pair in pairs if pair.fate is Fate.GONE and pair.resource.type in {BUCKET, NAMESPACE}}
    for pair in pairs:
        if pair.fate in {None, Fate.ANEW}:
            continue
        yield from _of_data(stack, pair, anew)
        if pair.fate is Fate.GONE:
            yield from _of_what_went(stack, pair, going)
        else:
            yield from _of_what_stays(stack, pair)


def _caution(stack: str, pair: Pair, danger: Danger, message: str, *details: str) -> Caution:
    resource = pair.resource
    subject = f"{resource.type.rpartition(':')[2]} {resource.name}"
    return Caution(danger=danger, where=stack, subject=subject, message=message, details=details, urn=resource.urn)


def _of_data(stack: str, pair: Pair, anew: Mapping[tuple[str, str], Resource]) -> Iterator[Caution]:
    """A resource that holds data goes or is replaced; what becomes of it is for the state's options to say."""
    before = pair.before
    if before is None or pair.fate not in {Fate.GONE, Fate.REPLACED} or before.type not in _HOLDS:
        return
    held = _HOLDS[before.type]
    verb = "is no longer declared" if pair.fate is Fate.GONE else "is replaced by an empty one"
    twin = anew.get((before.type, before.id))
    details = (before.id,)
    if pair.fate is Fate.GONE and twin is not None:
        verb = "is declared under another name without an alias, and so made anew"
        details = (before.id, f"{before.name} → {twin.name}")
    if before.protect:
        outcome = "the update stops, for it is protected"
    elif before.retain_on_delete:
        outcome = f"it is left behind with {held}, and nothing looks after it"
    elif before.type == BUCKET and not before.inputs.get("forceDestroy"):
        outcome = f"it is deleted with {held}, or the update fails while it has any"
    elif before.type == KEY:
        outcome = f"it is deleted when its deletion window is over, and {held} can never be read again"
    else:
        outcome = f"it is deleted with {held}"
    danger = Danger.KEY if before.type == KEY else Danger.DATA
    yield _caution(stack, pair, danger, f"{verb}; {outcome}", *details)


def _of_what_went(stack: str, pair: Pair, going: set[str]) -> Iterator[Caution]:
    """What guards a bucket or a namespace goes, and that stays."""
    resource = pair.resource
    guarded = {
        _LOCK: ("bucket", "new objects are no longer locked"),
        _VERSIONING: ("bucket", "deleted and overwritten objects are no longer kept"),
        _ENCRYPTION: ("bucket", "new objects are no longer encrypted with its key"),
        _QUOTA: ("namespace", "nothing bounds what its namespace may ask for"),
        _LIMITS: ("namespace", "nothing bounds what one container may ask for"),
    }
    if resource.type not in guarded:
        return
    owner, meaning = guarded[resource.type]
    name = at(resource.inputs, "bucket") if owner == "bucket" else at(resource.inputs, "metadata", "namespace")
    if name not in going:
        yield _caution(stack, pair, Danger.PROTECTION, f"is no longer declared: {meaning}", str(name))


def _of_what_stays(stack: str, pair: Pair) -> Iterator[Caution]:
    before, after = pair.before, pair.after
    if before is None or after is None:
        return
    if before.protect and not after.protect:
        yield _caution(stack, pair, Danger.PROTECTION, "loses its protection from deletion")
    if before.retain_on_delete and not after.retain_on_delete:
        yield _caution(stack, pair, Danger.PROTECTION, "is no longer retained when it is removed")
    judged = {
        _ALIAS: _alias,
        _ENCRYPTION: _encryption,
        _LIFECYCLE: _lifecycle,
        _LOCK: _lock,
        _VERSIONING: _versioning,
        BUCKET: _bucket,
        KEY: _key,
    }
    if after.type in judged:
        for danger, message, details in judged[after.type](before.inputs, after.inputs):
            yield _caution(stack, pair, danger, message, *details)


_Judged = Iterator[tuple[Danger, str, tuple[str, ...]]]
_Inputs = Mapping[str, Any]


def _alias(before: _Inputs, after: _Inputs) -> _Judged:
    if before.get("targetKeyId") != after.get("targetKeyId"):
        yield Danger.KEY, "names another key", ()


def _encryption(before: _Inputs, after: _Inputs) -> _Judged:
    old, new = _keys(before), _keys(after)
    if old != new:
        message = "encrypts new objects with another key; old ones still need the old key"
        yield Danger.KEY, message if new else "encrypts new objects with no key of its own", ()


def _keys(inputs: _Inputs) -> set[str]:
    rules = [at(rule, "applyServerSideEncryptionByDefault", "kmsMasterKeyId") for rule in items(inputs, "rules")]
    return {str(key) for key in rules if key}


def _bucket(before: _Inputs, after: _Inputs) -> _Judged:
    if after.get("forceDestroy") and not before.get("forceDestroy"):
        yield Danger.PROTECTION, "may from now on be deleted with its objects", ()


def _key(before: _Inputs, after: _Inputs) -> _Judged:
    if before.get("enableKeyRotation") and not after.get("enableKeyRotation"):
        yield Danger.PROTECTION, "is no longer rotated", ()
    if after.get("isEnabled") is False and before.get("isEnabled") is not False:
        yield Danger.KEY, "is disabled: what is encrypted with it cannot be read", ()
    old, new = (_number(inputs.get("deletionWindowInDays"), 30) for inputs in (before, after))
    if new < old:
        yield Danger.PROTECTION, "can be gone sooner after its deletion (days)", (f"{old} → {new}",)


def _lock(before: _Inputs, after: _Inputs) -> _Judged:
    old, new = (_retention(inputs) for inputs in (before, after))
    if new[0] < old[0]:
        yield Danger.PROTECTION, "locks new objects for a shorter time (days)", (f"{old[0]} → {new[0]}",)
    if _MODES.get(new[1], 0) < _MODES.get(old[1], 0):
        yield Danger.PROTECTION, "locks new objects in a weaker mode", (f"{old[1]} → {new[1]}",)


def _retention(inputs: _Inputs) -> tuple[float, str]:
    """Days and mode."""
    rule = at(inputs, "rule", "defaultRetention")
    days = _number(at(rule, "days"), 0) + _YEAR * _number(at(rule, "years"), 0)
    return days, str(at(rule, "mode") or "")


def _versioning(before: _Inputs, after: _Inputs) -> _Judged:
    old, new = (at(inputs, "versioningConfiguration", "status") for inputs in (before, after))
    if old == "Enabled" and new != "Enabled":
        yield Danger.PROTECTION, "keeps deleted and overwritten objects no longer", (f"{old} → {new}",)


def _lifecycle(before: _Inputs, after: _Inputs) -> _Judged:
    """Objects end sooner than they did, or at all."""
    old, new = _endings(before), _endings(after)
    for name, days in sorted(new.items()):
        was = old.get(name)
        if was is None or days < was:
            yield Danger.DATA, "deletes objects sooner (days)", (f"{name}: {'never' if was is None else was} → {days}",)


def _endings(inputs: _Inputs) -> dict[str, float]:
    """What a rule deletes, to after how many days; rules that are off delete nothing."""
    found: dict[str, float] = {}
    for rule in items(inputs, "rules"):
        if at(rule, "status") != "Enabled":
            continue
        for field, days in (("expiration", "days"), ("noncurrentVersionExpiration", "noncurrentDays")):
            if at(rule, field, days) is not None:
                found[f"{at(rule, 'id')} {field}"] = _number(at(rule, field, days), 0)
    return found


def _number(value: Any, otherwise: float) -> float:
    """The number, or what the provider takes where none is given."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise
