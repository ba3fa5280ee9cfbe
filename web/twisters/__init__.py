"""Tongue twisters and phrases to practise sounds with, as data by language, and the choice of the next one."""

from web.twisters.collection import TwisterError, coverage, languages, load_collection
from web.twisters.picker import Twister, choose

__all__ = ["Twister", "TwisterError", "choose", "coverage", "languages", "load_collection"]
