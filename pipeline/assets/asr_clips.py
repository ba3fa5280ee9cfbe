"""Asset `asr_clips`: recordings with texts, read, checked and split as the defects' clips are."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.clips import ClipStage
from pipeline.assets.stage import POOL, Stage
from pipeline.launchpad import AsrClipConfig, form, settings_of
from pipeline.recognition.vocabulary import transcribed_vocabulary
from speech.files import digest_of
from speech.text.language import load_language

VERSION = 4  # raised when equal inputs and settings give another output


@asset(
    group_name="data",
    deps=["asr_archive"],
    code_version=str(VERSION),
    config_schema=form(AsrClipConfig, "asr_clips"),
    pool=POOL,
)
def asr_clips(context: AssetExecutionContext) -> MaterializeResult:
    """Every usable recording with its text, speaker and split; rows without a usable text in a report."""
    config = settings_of(context, AsrClipConfig)
    language = load_language(config.language)
    clip_stage = ClipStage(Stage(context, "asr_clips"), "asr_archive", config, transcribed_vocabulary(config, language))
    rules = {"alphabet": language.alphabet, "ignored": language.ignored, **language.transcripts.model_dump()}
    return clip_stage.result(clip_stage.build(VERSION, {"language": digest_of(rules)}))
