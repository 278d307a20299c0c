"""Microsoft.Insights: the activity log. It does not know API servers."""
