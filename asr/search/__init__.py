"""From the model's outputs to texts: greedy, beam search in letters or in a lexicon, closed sets of commands."""
