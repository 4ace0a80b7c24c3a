"""lesveil.toml: what is not known is refused by name, and the digest tells settings apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.records import Style
from pipeline.settings import Detection, Redaction, Settings, load


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "lesveil.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_an_empty_file_gives_the_defaults(written):
    assert load(written("")) == Settings()


def test_a_workspace_starts_without_recognition():
    settings = Settings()
    assert settings.recognition.mode == "off"
    assert settings.privacy.dpia == ""
    assert settings.consent.giver == ""
    assert settings.deliver.folder_is_the_archive is False
    assert settings.redaction.style is Style.VEIL


def test_every_kind_of_value(written):
    settings = load(
        written(
            'language = "nl"\n[detection]\nfaint = 0.05\nsure = 0\n[redaction]\nstyle = "solid"\n'
            '[rendering]\ncrf = 23\naudio = "mute"\n[deliver]\ntarget = "folder"\nfolder_is_the_archive = true\n'
        )
    )
    assert settings.language == "nl"
    assert settings.detection == Detection(faint=0.05, sure=0.0)
    assert isinstance(settings.detection.sure, float)
    assert settings.redaction == Redaction(Style.SOLID)
    assert settings.redaction.style is Style.SOLID
    assert settings.rendering.crf == 23
    assert settings.deliver.folder_is_the_archive is True


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[detecton]\nfaint = 0.1\n", "detecton"),
        ("[detection]\nfant = 0.1\n", "detection.fant"),
        ("[redaction.veil]\nx = 1\n", "redaction.veil"),
        ("style = 'solid'\n", "style"),
        ("detection = 0.1\n", "detection"),
        ("[[detection]]\nfaint = 0.1\n", "detection"),
        ("[detection]\nfaint = '0.1'\n", "detection.faint"),
        ("[detection]\nfaint = true\n", "detection.faint"),
        ("[detection]\nfaint = [0.1]\n", "detection.faint"),
        ("[rendering]\ncrf = 21.5\n", "rendering.crf"),
        ("[rendering]\ncrf = true\n", "rendering.crf"),
        ("[rendering]\naudio = 'loud'\n", "rendering.audio"),
        ("[redaction]\nstyle = 'blur'\n", "redaction.style"),
        ("[redaction]\nstyle = ['veil']\n", "redaction.style"),
        ("[recognition]\nmode = true\n", "recognition.mode"),
        ("[recognition]\nmode = 'On'\n", "recognition.mode"),
        ("[deliver]\nfolder_is_the_archive = 1\n", "deliver.folder_is_the_archive"),
        ("[deliver]\nfolder_is_the_archive = 'true'\n", "deliver.folder_is_the_archive"),
        ("[privacy]\ndpia = 2024-01-01\n", "privacy.dpia"),
        ("[deliver]\nlayout = '../../{id}'\n", "deliver.layout"),
        ("[deliver]\nlayout = '/home/x/{id}'\n", "deliver.layout"),
        ("[deliver]\nlayout = 'a/../{id}'\n", "deliver.layout"),
        ("[deliver]\nlayout = '{clip}'\n", "deliver.layout"),
        ("[deliver]\nlayout = '{name}_{id}'\n", "deliver.layout"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(written, text, named):
    path = written(text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)


NO_FACES = [
    "faint = nan",
    "alone = nan",
    "faint = inf",
    "faint = 6",  # per cent
    "alone = 10",
    "sure = -1",
]


@pytest.mark.parametrize("line", NO_FACES)
def test_a_threshold_that_no_face_can_reach_is_refused(written, line):
    with pytest.raises(SettingsError):
        load(written(f"[detection]\n{line}\n"))


@pytest.mark.parametrize("value", ["nan", "10", "inf", "-0.1"])
def test_a_quarantine_share_that_is_no_share_is_refused(written, value):
    with pytest.raises(SettingsError):
        load(written(f"[rendering]\nquarantine_share = {value}\n"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[detection\n", "line 1 cannot be understood"),
        (b"\nfaint = \n", "line 2 cannot be understood"),
        (b"[recognition]\nmode = on\n", "line 2 cannot be understood; write name = "),
        (b"\xff\xfe\x00", "line 1: there are letters that are not UTF-8"),
        (b"[deliver]\nfolder = 'Caf\xe9'\n", "line 2: there are letters that are not UTF-8"),
        (b"[consent]\n[deliver]\n[consent]\n", "line 3: [consent] stands there for the second time"),
        (b"[rendering]\ncrf = 1\ncrf = 2\n", "line 3: this setting stands there twice"),
        (b'[deliver]\nfolder = "C:\\Users\\A"\n', "line 2: write a path with slashes (C:/lessons)"),
        (b'[deliver]\nfolder = "C:\\lessen"\n', "line 2: write a path with slashes (C:/lessons)"),
        (b'[deliver]\nfolder = "C:\\foto"\n', "deliver.folder holds signs that cannot be shown; write a path"),
        (b'[retention]\nworking_copy_days = "30"\n', "write a number without quotes, as in working_copy_days = 30"),
        (b"[consent]\nteacher = 12\n", 'write a text between quotes, teacher = "'),
        (b'[review]\ntwo_people = "yes"\n', "write two_people = true or two_people = false, without quotes"),
    ],
)
def test_what_is_written_wrongly_is_told_with_what_to_write(written, data, said):
    with pytest.raises(SettingsError) as caught:
        load(written(data))
    assert said in str(caught.value)
    assert "lesveil.toml" in str(caught.value)


def test_a_byte_order_mark_is_passed_over(written):
    assert load(written(b"\xef\xbb\xbf[rendering]\ncrf = 20\n")).rendering.crf == 20


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"gone\.toml cannot be read"):
        load(tmp_path / "gone.toml")


def test_braces_in_names_and_values_do_not_break_the_message(written):
    with pytest.raises(SettingsError, match=r"\{x\}"):
        load(written('"{x}" = "{y}"\n'))
    with pytest.raises(SettingsError, match=r"\{y\}"):
        load(written('language = "{y}"\n'))


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, "x")
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, tuple):
        return (*value, "x")
    if dataclasses.is_dataclass(value):
        first = dataclasses.fields(value)[0].name
        return dataclasses.replace(value, **{first: _changed(getattr(value, first))})
    return next((style for style in Style if style is not value), None) if isinstance(value, Style) else value + "x"


def test_every_setting_is_in_the_digest_of_its_section_and_in_no_other():
    plain = Settings()
    sections = [f.name for f in dataclasses.fields(plain) if dataclasses.is_dataclass(getattr(plain, f.name))]
    assert "detection" in sections
    for name in sections:
        section = getattr(plain, name)
        for field in dataclasses.fields(section):
            other = dataclasses.replace(section, **{field.name: _changed(getattr(section, field.name))})
            changed = dataclasses.replace(plain, **{name: other})
            assert changed.digest() != plain.digest(), field.name
            assert changed.digest(name) != plain.digest(name), field.name
            rest = [one for one in sections if one != name]
            assert changed.digest(*rest) == plain.digest(*rest), field.name


def test_words_and_columns_of_the_schools_own(written):
    text = '[consent]\nyes = ["toegestaan"]\nwarn_days = 30\n[consent.columns]\nnumber = "Stamnr."\n'
    consent = load(written(text)).consent
    assert consent.yes == ("toegestaan",)
    assert (consent.warn_days, consent.columns.number, consent.columns.filmed) == (30, "Stamnr.", "")
    assert len(load(written(text)).digest()) == 64


@pytest.mark.parametrize(
    "line",
    ['purpose = " "',
     "grace_days = -1", "grace_days = 93", "warn_days = 1000", "yes = [1]", 'yes = "ja"', "grace_days = true",
     'preset = "excel"', "teacher = 5"],
)  # fmt: skip
def test_consent_settings_out_of_range_are_refused(written, line):
    with pytest.raises(SettingsError, match=line.split()[0]):
        load(written(f"[consent]\n{line}\n"))


def test_the_settings_that_the_documentation_shows_are_settings(written):
    page = (Path(__file__).parents[2] / "docs" / "consent.md").read_text(encoding="utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    consent = load(written(shown)).consent
    assert (consent.preset, consent.teacher_required, consent.columns.number) == ("magister", True, "Stamnr.")
    names = {field.name for field in dataclasses.fields(consent.columns)}
    assert {word.strip("#,") for word in shown.splitlines()[-1].split()[1:]} | {"number", "filmed"} == names


def test_the_digest_is_of_values_not_of_the_file(written):
    one = load(written("[detection]\nfaint = 0.05\n[rendering]\ncrf = 21\n")).digest()
    two = load(written("# a remark\n[rendering]\n[detection]\nfaint = 0.050\n")).digest()
    assert one == two != Settings().digest()
    assert len(one) == 64


def test_a_section_that_does_not_exist_has_no_digest():
    with pytest.raises(KeyError):
        Settings().digest("detections")


def test_registered_cards_are_a_list_of_texts(written):
    assert load(written('[cards]\nregistered = ["1234-ABCD", "LES"]\n')).cards.registered == ("1234-ABCD", "LES")
    for wrong in ('"1234-ABCD"', "[1234]", "true"):
        with pytest.raises(SettingsError, match=r"cards\.registered must be a list of texts"):
            load(written(f"[cards]\nregistered = {wrong}\n"))


@pytest.mark.parametrize("risk", ["0", "0.0", "0.00029", "0.01", "1", "-0.0003", "nan", "inf", '"0.0003"', "true"])
def test_a_risk_that_nothing_was_measured_for_is_refused(tmp_path, risk):
    """More than that would be carelessness; of less nobody knows what it takes."""
    path = tmp_path / "lesveil.toml"
    path.write_text(f"[recognition]\nfalse_accept = {risk}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"recognition\.false_accept"):
        load(path)


@pytest.mark.parametrize("risk", [0.0003, 0.0005, 0.001])
def test_a_risk_that_was_measured_is_taken(tmp_path, risk):
    path = tmp_path / "lesveil.toml"
    path.write_text(f"[recognition]\nfalse_accept = {risk}\n", encoding="utf-8")
    assert load(path).recognition.false_accept == risk
    assert Settings().recognition.false_accept == 0.0003


@pytest.mark.parametrize(
    "line",
    [
        "[detection]\nfaint = 1.0",
        "[detection]\nalone = 0.9",
        "[detection]\ntogether = nan",
        "[detection]\nsure = -0.1",
        "[recognition]\nsmallest = nan",
        "[recognition]\nsmallest = -5",
        "[recognition]\nsmallest = inf",
        "[rendering]\ncrf = 99999999999",
        '[rendering]\npreset = "banana"',
        "[engine]\npriority = 99999999999999999999",
        "[review]\nport = 99999999",
        "[onedrive]\nsimultaneous = -4",
    ],
)
def test_a_number_that_switches_a_safeguard_off_is_refused_with_its_name(written, line):
    section, key = line.split("]\n[")[0].strip("[").split("]\n")
    with pytest.raises(SettingsError, match=rf"{section}\.{key.split(' ')[0]} cannot be"):
        load(written(line + "\n"))
