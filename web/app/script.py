"""What Streamlit runs at every visit and every click."""

from web.app.navigation import run

run()
