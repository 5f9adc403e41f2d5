"""The demonstration as an experiment: does IIF make a rude language model courteous sooner, and find planted faults?"""
