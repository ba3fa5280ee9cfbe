"""The web application: people train their speech, see how it goes, and have calls analysed."""
