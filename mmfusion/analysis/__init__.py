"""What tools/analysis_tools print, as a library."""
