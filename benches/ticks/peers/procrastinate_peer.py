"""procrastinate: so many no-op jobs through so many slots."""

import asyncio
import logging
import sys
import time

import procrastinate

url, jobs, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
logging.disable(logging.CRITICAL)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=slots, max_size=slots + 10))


@app.task(name="noop")
async def noop():
    pass


async def main():
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for begin in range(0, jobs, 5_000):
            await noop.batch_defer_async(*({} for _ in range(min(5_000, jobs - begin))))
        began = time.perf_counter()
        await app.run_worker_async(concurrency=slots, wait=False, install_signal_handlers=False, listen_notify=False)
        rate = round(jobs / (time.perf_counter() - began))
        print(f"procrastinate {procrastinate.__version__}: {rate} jobs/s, {jobs} jobs, {slots} slots")


asyncio.run(main())
