#!/bin/sh
#SBATCH --array=1-2
#SBATCH --cpus-per-task=1
exec dask worker --scheduler-file scheduler.json --nthreads 1 --no-dashboard
