"""Charts: pure functions from tables to Plotly figures. Nothing here knows Streamlit."""
