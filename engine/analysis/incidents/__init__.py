"""Rounds worth a look: falls of the return beyond its noise, policies that are stuck, numbers that are none any more."""
