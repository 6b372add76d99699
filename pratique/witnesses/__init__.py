"""Who holds checkpoints elsewhere, so that a cut tail or a rewritten log is seen."""
