"""The Streamlit script: navigation, and what stands on every page."""
