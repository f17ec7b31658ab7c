// graphile-worker: so many no-op jobs through so many slots. `batched` takes and completes jobs in groups, as its page on
// performance advises for small jobs.
const { run, makeWorkerUtils, Logger } = require("graphile-worker");

const [connectionString, jobs, slots, mode] = [process.argv[2], +process.argv[3], +process.argv[4], process.argv[5]];
const logger = new Logger(() => () => {});

async function main() {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  await utils.withPgClient((client) =>
    client.query("select count(graphile_worker.add_job('noop', '{}'::json)) from generate_series(1, $1::int)", [jobs]),
  );
  await utils.release();
  let done = 0;
  let first = 0;
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  const noop = async () => {
    first ||= performance.now();
    if (++done === jobs) finish();
  };
  const batches = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  const worker = { connectionString, concurrentJobs: slots, maxPoolSize: slots + 10, pollInterval: 100, logger };
  const preset = { worker: mode === "batched" ? { ...worker, ...batches } : worker };
  const runner = await run({ preset, noHandleSignals: true, taskList: { noop } });
  await all;
  const last = performance.now();
  await runner.stop(); // what is not recorded yet is recorded now, and counts
  const seconds = (Math.max(last, performance.now()) - first) / 1000;
  console.log(`graphile-worker 0.18.0 (${mode}): ${Math.round(jobs / seconds)} jobs/s, ${jobs} jobs, ${slots} slots`);
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
