"""`slotaudio demo`: one mixture of two people, taken apart before your eyes."""

from pathlib import Path
from typing import Annotated

import typer

from slotaudio.cli.options import Model, refuse_unused
from slotaudio.cli.reporting import waiting
from slotaudio.errors import UserError
from slotaudio.writing import check_free, make_folder

_FOLDER, _HOST, _LONGEST = "slotaudio-demo", "127.0.0.1", 10.0


def demo(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help=f"Folder for sounds and picture, made if missing; {_FOLDER} by default.",
        ),
    ] = None,
    model: Model = "default",
    number: Annotated[
        int | None, typer.Option(help="Which of the bundled mixtures, from 1; the first by default.")
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Serve a page instead: upload or record, listen, look, download.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(help=f"With --web: {_HOST} by default; 0.0.0.0 lets others in the network use the page."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="With --web: the first free one from 7860 by default.")] = None,
    longest: Annotated[
        float | None, typer.Option(metavar="MINUTES", help=f"With --web: longest recording; {_LONGEST:g} by default.")
    ] = None,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="With --web: open a browser, as is the default.")
    ] = None,
) -> None:
    """Separate a bundled mixture of two real voices that no bundled model was trained on.

    Writes mixture, separated sources and true sources as WAV and a picture of all of it, and prints by how much
    separating brought each source out (SI-SDRi, in decibels). An earlier demo in the same folder is replaced.
    """
    if web:
        files = {"--output": output is not None, "--number": number is not None}
        refuse_unused(files, "the page of --web takes recordings in the browser, and gives their sources there")
        limit = _LONGEST if longest is None else longest
        _serve(model, _HOST if host is None else host, port, limit, browser is not False)
        return
    serving = {"--host": host, "--port": port, "--longest": longest, "--browser/--no-browser": browser}
    refuse_unused({name: value is not None for name, value in serving.items()}, "there is no page without --web")
    output, number = Path(_FOLDER) if output is None else output, 1 if number is None else number
    with waiting("loading the model"):
        from slotaudio import audio, metrics
        from slotaudio.data.bundled import demo_list, speech
        from slotaudio.data.folder import FolderMixtures
        from slotaudio.plotting import attention_map, save, separation_figure
        from slotaudio.separation.observation import Observation
        from slotaudio.separation.separator import Separator

        separator = Separator.from_pretrained(model)
    mixtures = FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())
    if not 1 <= number <= len(mixtures):
        raise UserError(f"there is no mixture {number}: the package brings {len(mixtures)}")
    mixture, references, _ = mixtures[number - 1]
    rate = 16000
    sounds = [_sounds(output, source) for source in range(len(references))]
    picture = output / "demo.png"
    for target in (output / "mixture.wav", picture, *(path for paths in sounds for path in paths)):
        check_free(target, force=True)
    make_folder(output)
    seen: list[Observation] = []
    with waiting("separating"):
        estimates = separator(mixture, rate, observer=seen.append).sources
    score = metrics.score(estimates[None], references[None], mixture[None], separator.model.matcher)
    order = score.assignment[0].tolist()
    gains = score.values["si_sdr_i"][0].tolist()
    audio.write(output / "mixture.wav", mixture, rate, force=True)
    for slot, reference, (separated, true) in zip(order, references, sounds, strict=True):
        audio.write(separated, estimates[slot], rate, force=True)
        audio.write(true, reference, rate, force=True)
    attention = attention_map(seen, separator.framing.window / separator.sample_rate, mixture.shape[-1] / rate)
    figure = separation_figure(
        mixture,
        estimates[order],
        rate,
        references,
        None if attention is None else attention[order],
        captions=[f"SI-SDRi {gain:+.1f} dB" for gain in gains],
        title="slotaudio: one mixture, an unordered set of slots, one source from each",
    )
    save(figure, picture, force=True)
    print(f"Two people at once, {mixture.shape[-1] / rate:.1f} s: {output / 'mixture.wav'}")
    for source, (gain, (separated, _)) in enumerate(zip(gains, sounds, strict=True), start=1):
        print(f"  source {source}: SI-SDRi {gain:+.1f} dB  {separated}")
    print(f"  mean SI-SDRi {sum(gains) / len(gains):+.1f} dB; the true sources are beside them")
    print(f"Picture: {picture}")


def _sounds(folder: Path, source: int) -> tuple[Path, Path]:
    """Return where a source goes as it was separated, and as it is."""
    return folder / f"source{source + 1}_separated.wav", folder / f"source{source + 1}_true.wav"


def _serve(model: str, host: str, port: int | None, longest: float, browser: bool) -> None:
    try:
        from slotaudio.web import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "gradio":
            raise
        raise UserError('the page needs gradio: pip install "slotaudio[demo]"', page="howto/web") from None
    serve([] if model == "default" else [model], host, port, longest, browser)
