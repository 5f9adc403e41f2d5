"""Parts of the Behaviour page: how an action came to be, round by round."""
