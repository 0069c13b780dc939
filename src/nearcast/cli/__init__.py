"""The front door: one file for each verb. Standard output is data, standard error is talk, exit statuses mean something."""
