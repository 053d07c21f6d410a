"""Language models: n-grams of words and characters, a recurrent one, and files of both."""
