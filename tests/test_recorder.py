"""The recorder: offline, deterministic, sealed, and clear about what it cannot record."""

import gc
import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ladder import recorder
from ladder.contract import StackSettings
from ladder.errors import CheckFailed, InputError
from ladder.recorder import REDACTED, configuration, record, record_stack
from ladder.recording import Recording
from ladder.recording_formats import as_deployment, as_json, as_table
from tests.conftest import Recordings

Program = Callable[..., Path]

BUCKET = 'import pulumi\nimport pulumi_aws as aws\n\nbucket = aws.s3.Bucket("b", bucket="name")\n'


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write a program of the given text (and other files) and return its root."""

    def write(text: str, **files: str) -> Path:
        (tmp_path / "__main__.py").write_text(text)
        for name, content in files.items():
            file = tmp_path / name.replace("__", "/")
            file.parent.mkdir(exist_ok=True)
            file.with_suffix(".py").write_text(content)
        return tmp_path

    return write


@pytest.fixture
def dev(ladder: dict[str, StackSettings]) -> StackSettings:
    return ladder["dev"]


def text(recording: Recording) -> str:
    return json.dumps([as_json(recording), as_deployment(recording)])


# what is recorded


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_every_stack_file_runs_through_the_whole_program(root: Path, recordings: Recordings, stack: str) -> None:
    recording = record_stack(root, stack)
    assert recording == recordings[stack]
    assert len(recording.resources) > 80


def test_a_preview_records_the_same(root: Path, dev: StackSettings, recordings: Recordings) -> None:
    assert record(dev, stack="dev", root=root, preview=True) == recordings["dev"]


def test_recording_opens_no_connection(
    root: Path, dev: StackSettings, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    for name in ("connect", "connect_ex", "sendto", "bind", "listen"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    assert record(dev, stack="dev", root=root) == recordings["dev"]


@pytest.mark.exhaustive
def test_a_recording_is_the_same_in_another_process(root: Path, recordings: Recordings, tmp_path: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from ladder.recorder import record_stack;"
        "from ladder.recording_formats import as_deployment, as_json;"
        "made = record_stack(Path(sys.argv[1]), 'dev'); print(json.dumps([as_json(made), as_deployment(made)]))"
    )
    made = subprocess.run(
        [sys.executable, "-c", script, str(root)],
        env={**os.environ, "PYTHONHASHSEED": "4242"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == text(recordings["dev"]) + "\n"


def test_resources_are_sorted_by_urn(recordings: Recordings) -> None:
    for recording in recordings:
        urns = [resource.urn for resource in recording.resources]
        assert urns == sorted(set(urns))


def test_urns_have_the_engines_form(recordings: Recordings) -> None:
    """The chain of parents' types, without the Stack; the name after it."""
    dev = {resource.urn: resource for resource in recordings["dev"].resources}
    stack = dev["urn:pulumi:dev::ladder::pulumi:pulumi:Stack::ladder-dev"]
    environment = dev["urn:pulumi:dev::ladder::ladder:environment:Environment::environment"]
    bucket = dev[
        "urn:pulumi:dev::ladder::ladder:environment:Environment$ladder:bucket:SecureBucket"
        "$aws:s3/bucket:Bucket::uploads"
    ]
    assert stack.parent is None
    assert environment.parent == stack.urn
    assert dev[bucket.parent or ""].parent == environment.urn


def test_parents_providers_and_dependencies_are_recorded_too(recordings: Recordings) -> None:
    for recording in recordings:
        known = recording.by_urn()
        for resource in recording.resources:
            assert resource.parent in known or resource.type == "pulumi:pulumi:Stack"
            assert set(resource.dependencies) <= set(known)
            for urns in resource.property_dependencies.values():
                assert set(urns) <= set(resource.dependencies)
            if resource.provider:
                urn, _, identifier = resource.provider.rpartition("::")
                assert known[urn].id == identifier


def test_stack_outputs_are_recorded(program: Program, dev: StackSettings) -> None:
    exports = 'pulumi.export("arn", bucket.arn)\npulumi.export("known", {"b": [1, 2.5, None, True]})\n'
    recording = record(dev, stack="dev", root=program(BUCKET + exports))
    assert recording.outputs["known"] == {"b": [1, 2.5, None, True]}
    assert recording.outputs["arn"] == "arn:aws:s3:::name"


def test_stacks_in_one_process_do_not_mix(root: Path, ladder: dict[str, StackSettings], recordings: Recordings) -> None:
    before = {stack: text(recordings[stack]) for stack in ladder}
    for stack in reversed(ladder):
        recording = record(ladder[stack], stack=stack, root=root)
        assert text(recording) == before[stack]
        others = {settings.cloud.account for settings in ladder.values()} - {ladder[stack].cloud.account}
        assert not [account for account in others if account in text(recording)]


def test_the_program_of_another_checkout_uses_its_own_components(
    program: Program, dev: StackSettings, root: Path, recordings: Recordings
) -> None:
    other = program("import components\n\ncomponents.register()\n", components____init__="")
    (other / "components" / "__init__.py").write_text(BUCKET.replace("\nbucket", "\ndef register():\n    bucket"))
    loaded = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "components"}
    assert [resource.name for resource in record(dev, stack="dev", root=other).of_type("aws:s3/bucket:Bucket")] == ["b"]
    assert {name: module for name, module in sys.modules.items() if name.split(".")[0] == "components"} == loaded
    assert record(dev, stack="dev", root=root) == recordings["dev"]


def test_configuration_is_what_the_engine_would_hand_over(dev: StackSettings) -> None:
    values = configuration(dev)
    assert set(values) == {f"ladder:{key}" for key in dev.model_dump(by_alias=True)}
    assert json.loads(values["ladder:environment"]) == {"name": "dev", "rung": "dev", "owner": dev.environment.owner}


def test_an_unknown_stack_is_bad_input(root: Path) -> None:
    with pytest.raises(InputError, match="there is no such stack"):
        record_stack(root, "nowhere")


def test_the_program_tolerates_what_a_first_preview_does_not_know(
    root: Path, ladder: dict[str, StackSettings], recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine knows no id and no ARN then: the same resources must be registered all the same."""
    real = recorder.computed

    def unknown(type_: str, urn: str, *rest: Any) -> tuple[str, dict[str, Any]]:
        return (real(type_, urn, *rest)[0], {}) if type_.startswith("pulumi:providers:") else ("", {})

    monkeypatch.setattr(recorder, "computed", unknown)
    for stack, settings in ladder.items():
        first = record(settings, stack=stack, root=root, preview=True)
        assert first.by_urn().keys() == recordings[stack].by_urn().keys()
        for resource in first.resources:
            later = recordings[stack].by_urn()[resource.urn]
            assert resource.dependencies == later.dependencies
            assert (resource.protect, resource.retain_on_delete) == (later.protect, later.retain_on_delete)


# what stays out of a recording


def test_secrets_are_redacted_in_every_format(program: Program, dev: StackSettings) -> None:
    secret = "correct-horse-battery-staple"
    recording = record(
        dev,
        stack="dev",
        root=program(
            BUCKET + f'hidden = pulumi.Output.secret("{secret}")\n'
            'aws.s3.BucketPolicy("p", bucket="name", policy=hidden)\n'
            'tags = {"deep": {"er": pulumi.Output.concat("<", hidden, ">")}, "list": [hidden]}\n'
            'aws.s3.Bucket("t", bucket="t", tags=tags["deep"])\n'
            'pulumi.export("hidden", hidden)\npulumi.export("nested", tags)\n'
        ),
    )
    assert recording.outputs["hidden"] == REDACTED
    assert REDACTED in text(recording)
    assert secret not in text(recording) + repr(recording) + as_table(recording)


def test_ambient_variables_do_not_leak_in_and_are_restored(
    root: Path, dev: StackSettings, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_REGION": "us-east-1",
        "AWS_PROFILE": "somebody",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
        "PULUMI_K8S_CLIENT_QPS": "7",
        "PULUMI_CONFIG": '{"ladder:environment": "{}"}',
        "PULUMI_STACK": "other",
        "KUBECONFIG": "/nonexistent/kubeconfig",
        "LADDER_ROOT": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert record(dev, stack="dev", root=root) == recordings["dev"]
    assert dict(os.environ) == before


READS = {
    'os.environ["SHOP_TIER"]': "the environment variable SHOP_TIER",
    'os.environ.get("SHOP_TIER", "small")': "the environment variable SHOP_TIER",
    'os.getenv("HOME")': "the environment variable HOME",
    '"SHOP_TIER" in environ': "the environment variable SHOP_TIER",
    "dict(os.environ)": "the environment's variables",
    "list(environ)": "the environment's variables",
    'os.environb[b"SHOP_TIER"]': "the environment variable SHOP_TIER",
    'os.path.expandvars("$SHOP_TIER")': "the environment variable SHOP_TIER",
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("expression", READS)
def test_a_program_that_reads_an_environment_variable_is_refused_where_it_does(
    program: Program, dev: StackSettings, expression: str
) -> None:
    """What it would do with every value that there may be cannot be tried."""
    root = program(f'import os\nfrom os import environ\nimport pulumi\n\npulumi.export("text", str({expression}))\n')
    plain = type(os.environ)
    with pytest.raises(CheckFailed) as caught:
        record(dev, stack="dev", root=root)
    assert str(caught.value).startswith(f"the program reads {READS[expression]} at __main__.py:5: ")
    assert type(os.environ) is plain


def test_a_library_may_read_what_it_likes(program: Program, dev: StackSettings) -> None:
    root = program('import pulumi\nfrom pathlib import Path\n\npulumi.export("home", str(Path.home()))\n')
    assert record(dev, stack="dev", root=root).outputs == {"home": str(Path.home())}


def test_what_a_module_decides_as_it_is_imported_is_decided_anew(program: Program, dev: StackSettings) -> None:
    """A process that records several stacks must not show the second what was decided for the first."""
    root = program(
        'import pulumi\nfrom components.name import NAME\n\npulumi.export("name", NAME)\n',
        components__name="import pulumi\n\nNAME = pulumi.get_stack()\n",
    )
    (root / "components" / "__init__.py").touch()
    loaded = {name for name in sys.modules if name.partition(".")[0] == "components"}
    for stack in ("one", "other"):
        assert record(dev, stack=stack, root=root).outputs == {"name": stack}
    assert {name for name in sys.modules if name.partition(".")[0] == "components"} == loaded


def test_a_program_leaves_nothing_behind(program: Program, dev: StackSettings) -> None:
    changes = 'import os\nimport sys\nos.environ["PLANTED"] = "1"\nsys.path.append("planted")\nos.chdir("/")\n'
    for last in ("", 'raise ValueError("bad")\n'):
        before = dict(os.environ), list(sys.path), Path.cwd()
        root = program(changes + last)
        if last:
            with pytest.raises(CheckFailed):
                record(dev, stack="dev", root=root)
        else:
            record(dev, stack="dev", root=root)
        assert (dict(os.environ), sys.path, Path.cwd()) == before


def test_a_program_runs_in_its_own_directory(program: Program, dev: StackSettings) -> None:
    root = program('import pulumi\nfrom pathlib import Path\npulumi.export("text", Path("data.txt").read_text())\n')
    (root / "data.txt").write_text("beside it")
    assert record(dev, stack="dev", root=root).outputs == {"text": "beside it"}


def test_what_a_module_beside_the_program_decides_is_decided_for_each_recording(
    program: Program, ladder: dict[str, StackSettings]
) -> None:
    root = program("import pulumi\nimport naming\npulumi.export('stack', naming.STACK)\n")
    (root / "naming.py").write_text("import pulumi\n\nSTACK = pulumi.get_stack()\n")
    told = {name: record(each, stack=name, root=root).outputs["stack"] for name, each in ladder.items()}
    assert told == {name: name for name in ladder}
    assert "naming" not in sys.modules


# what cannot be recorded


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('raise ValueError("bad")', "the program failed at __main__.py:5: ValueError: bad"),
        ("raise SystemExit(3)", "the program failed at __main__.py:5: SystemExit: 3"),
        ("import no_such_module", "the program failed at __main__.py:5: ModuleNotFoundError: No module named"),
        ("bucket.arn.apply(lambda arn: arn['x'])", "the program failed at __main__.py:5: TypeError: string indices"),
        (
            'aws.s3.BucketPolicy("p", bucket="b", policy=bucket.arn.apply(lambda arn: 1 // 0))',
            "the program failed at __main__.py:5: ZeroDivisionError: ",
        ),
        ("x = = 1", "the program failed: SyntaxError: invalid syntax (__main__.py, line 5)"),
        ('raise pulumi.RunError("as told")', "as told"),
    ],
)
def test_a_failing_program_is_told_by_place_and_cause(
    program: Program, dev: StackSettings, lines: str, message: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        record(dev, stack="dev", root=program(BUCKET + lines + "\n"))
    assert str(caught.value).startswith(message)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("aws.get_caller_identity()", "calls aws:index/getCallerIdentity:getCallerIdentity: a look-up"),
        (
            'pulumi.export("x", aws.get_caller_identity_output().account_id)',
            "calls aws:index/getCallerIdentity:getCallerIdentity: a look-up",
        ),
        ('aws.s3.Bucket.get("g", "id")', "reads aws:s3/bucket:Bucket 'g' at __main__.py:5: a look-up"),
        ('pulumi.StackReference("o/p/s")', "reads pulumi:pulumi:StackReference 'o/p/s' at __main__.py:5: a look-up"),
        ('aws.s3.Bucket("b", bucket="again")', "Bucket::b more than once, at __main__.py:4 and __main__.py:5"),
        (
            'aws.s3.Bucket("t", opts=pulumi.ResourceOptions(transforms=[lambda args: None]))',
            "transforms 't' at __main__.py:5: the engine runs transforms",
        ),
        (
            "pulumi.runtime.register_resource_transform(lambda args: None)",
            "transforms what it registers: the engine runs transforms",
        ),
        (
            'aws.s3.Bucket("i", opts=pulumi.ResourceOptions(ignore_changes=["*"]))',
            "gives 'i' at __main__.py:5 ignoreChanges: no recording shows it",
        ),
        (
            'aws.s3.Bucket("d", opts=pulumi.ResourceOptions(delete_before_replace=True))',
            "gives 'd' at __main__.py:5 deleteBeforeReplace: no recording shows it",
        ),
        (
            'aws.s3.Bucket("t", opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1m")))',
            "gives 't' at __main__.py:5 customTimeouts: no recording shows it",
        ),
    ],
)
def test_what_only_the_engine_can_do_is_refused(program: Program, dev: StackSettings, lines: str, what: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        record(dev, stack="dev", root=program(BUCKET + lines + "\n"))
    assert what in str(caught.value)


def test_a_refused_program_leaves_no_warning(program: Program, dev: StackSettings) -> None:
    root = program(BUCKET + 'pulumi.StackReference("o/p/s").get_output("x").apply(print)\nraise ValueError("bad")\n')
    gc.collect()  # what other tests left is not this program's
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(CheckFailed):
            record(dev, stack="dev", root=root)
        gc.collect()
    assert not [str(warning.message) for warning in told if issubclass(warning.category, RuntimeWarning)]


def test_bad_configuration_is_told_in_full(root: Path, dev: StackSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    values = configuration(dev)
    broken = json.dumps({**json.loads(values["ladder:data"]), "noncurrentDays": 0})
    monkeypatch.setattr(recorder, "configuration", lambda _: {**values, "ladder:data": broken})
    with pytest.raises(CheckFailed) as caught:
        record(dev, stack="dev", root=root)
    assert "the stack's configuration is not accepted" in str(caught.value)
    assert "ladder:data.noncurrentDays" in str(caught.value)
