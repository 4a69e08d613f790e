"""Tasks in the jobs of a Slurm cluster, by submitit.

`executor` submits and follows them, `node` is what a job does, `records` are the files by which they speak to each
other, `client` speaks to Slurm, and `overview` is for people.
"""
