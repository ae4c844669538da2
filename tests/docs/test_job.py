"""The job of every night in docs/anomalies.md: its crontab and its units run as they stand there."""

import configparser
import shutil
import subprocess

import pandas as pd
import pytest

from tests.docs.blocks import BLOCK, ROOT, blocks, prepare, run

PAGE = (ROOT / "docs/anomalies.md").read_text()
PLACE = "/srv/job"


def blocks_of(kind):
    return [found["text"] for found in BLOCK.finditer(PAGE) if found["kind"] == kind]


def units():
    """The service and the timer, as systemd reads them."""
    for text in blocks_of("ini"):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read_string(text)
        yield unit


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The folder of the job after what is run once, with divmix where the units look for it."""
    folder = tmp_path_factory.mktemp("job")
    prepare(folder)
    (once,) = blocks(PAGE, "sh")
    assert run(["bash", "-e", "-c", once], folder).code == 0
    made = folder / "job"
    (made / ".venv/bin").mkdir(parents=True)
    program = (folder / "bin/divmix").read_text().replace("exec ", f"PYTHONPATH={ROOT} exec ")
    (made / ".venv/bin/divmix").write_text(program)
    (made / ".venv/bin/divmix").chmod(0o755)
    return made


def today(job, odd):
    table = pd.read_csv(ROOT / "sample_data/wine.csv").head(20)
    if odd:
        table.loc[3, "magnesium"] = 5000.0
    table.to_csv(job / "today.csv", index=False)


def alone(command, job, path="/usr/bin:/bin"):
    """Runs it as cron and systemd do: in no folder of ours, with hardly any environment."""
    shell = ["/usr/bin/env", "-i", f"PATH={path}", "HOME=/", "/bin/sh", "-c", command]
    return subprocess.run(shell, capture_output=True, text=True, cwd="/")


def crontab(job):
    (text,) = blocks_of("crontab")
    *settings, line = text.replace(PLACE, str(job)).splitlines()
    times, command = line.split(maxsplit=5)[:5], line.split(maxsplit=5)[5]
    assert times == ["15", "4", "*", "*", "*"] and "%" not in command  # which cron would cut
    return dict(own.split("=", 1) for own in settings), command


def test_cron_mails_flagged_rows_and_nothing_else(job):
    settings, command = crontab(job)
    today(job, odd=False)
    quiet = alone(command, job, settings["PATH"])
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    today(job, odd=True)
    told = alone(command, job, settings["PATH"])
    header, *rows = told.stdout.splitlines()
    assert header.startswith("row,score,p_value,flagged") and rows[0].startswith("3,")
    assert "magnesium" in told.stdout and not told.stderr


def test_cron_mails_an_error(job):
    settings, command = crontab(job)
    (job / "today.csv").unlink(missing_ok=True)
    told = alone(command, job, settings["PATH"])
    assert not told.stdout and told.stderr.startswith("Error: ") and "Hint: " in told.stderr


def test_the_service_succeeds_on_a_usual_day_and_fails_where_rows_are_flagged(job):
    service, _ = units()
    own = {name: value.replace(PLACE, str(job)) for name, value in service["Service"].items()}
    command = f"cd {own['WorkingDirectory']} && {own['ExecStart']}"
    assert own["Type"] == "oneshot"
    today(job, odd=False)
    assert alone(command, job).returncode == 0
    today(job, odd=True)
    assert alone(command, job).returncode == 8
    assert pd.read_csv(job / "alarms.csv")["row"].tolist()[0] == 3


def test_systemd_knows_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd")
    service, timer = units()
    command = ["systemd-analyze", "calendar", timer["Timer"]["OnCalendar"]]
    assert "04:15:00" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for text, name in zip(blocks_of("ini"), ("divmix-job.service", "divmix-job.timer")):
        assert f"/{name}" in text.splitlines()[0]
        (tmp_path / name).write_text(text.replace(f"{PLACE}/.venv/bin/divmix", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "divmix-job.timer")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Unknown" not in done.stderr and "divmix-job.timer:" not in done.stderr
