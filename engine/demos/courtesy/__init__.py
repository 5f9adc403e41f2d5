"""The demonstration "courtesy": a synthetic language in which half of what the policy says is rude, made without a download."""
