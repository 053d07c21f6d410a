"""Written form: the model that writes numbers, dates, times and money, from text to package."""
