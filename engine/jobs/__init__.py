"""Background work: a folder a job, which holds its question and says how far it is.

```
<run>/interventions/<id>/intervention.json        a removal: what to remove and how
<run>/interventions/across/<id>/series.json       a removal that is repeated at every round
<run>/derived/jobs/<id>/job.json                  a calculation about a round, whose result is kept in `derived/`
.../status.json                                   how far the work is; replaced as a whole
.../cancel                                        its presence asks the work to stop
.../worker.lock                                   held by the one worker that is at it
.../log.txt                                       what the worker printed
```

The worker is `python -m engine.jobs FOLDER [--base PATH] [--download]`, whatever the work and the kind of run.
"""
