"""Routes beside Streamlit's: everything that sets a cookie."""
