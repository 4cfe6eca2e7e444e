"""`cgpo stratify`: assigns the rows of a data set to strata, by a column, by embeddings or by a judge model."""
