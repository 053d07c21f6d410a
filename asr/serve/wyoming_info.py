"""What Home Assistant is told about the services."""

from __future__ import annotations

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, WakeModel, WakeProgram

from asr import __version__
from asr.serve.service import Service

ATTRIBUTION = Attribution(name="asr", url="")


def info(service: Service) -> Info:
    """The recogniser, and the wake words if there are any."""
    common = {"attribution": ATTRIBUTION, "installed": True, "version": __version__}
    model = AsrModel(name=service.model, description="BiGRU with CTC", languages=["en"], **common)
    program = AsrProgram(
        name="asr",
        description="Speech recognition without a cloud",
        models=[model],
        supports_transcript_streaming=True,
        **common,
    )
    words = [
        WakeModel(name=name, description=detector.phrase, phrase=detector.phrase, languages=["en"], **common)
        for name, detector in service.detectors.items()
    ]
    wake = WakeProgram(name="wakeword", description="Wake words without a cloud", models=words, **common)
    return Info(asr=[program], wake=[wake] if words else [])
