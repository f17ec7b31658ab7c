//! The black-box tests: the real binary against real servers. One binary, so that everything links once.
//! Nothing here reaches into the program, but for the fuzzer's corpus; what needs no process is tested beside the code.
#![expect(unreachable_pub, reason = "nothing outside of a test binary could reach anything")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod certificate; // certificates of the test's own making
mod harness; // starts the real binary in a folder of its own and asks it as each role
mod load; // clients that verify without pause
mod raw; // one connection by hand, to see what a client library hides
mod receiver; // an HTTP server of the test's own
mod runs; // one worker that is run by hand
mod sockets; // where a server listens, as its log says

mod action_http; // workers that call a URL
mod action_mongodb; // workers that send a command to MongoDB
mod action_redis; // workers that send a command to Redis
mod action_sql; // workers that run a statement
mod alerts; // trouble reaches whoever is on call
mod attack_a; // attacks on admin tokens
mod attack_b; // attacks on the text of a key
mod attack_c; // attacks on revocation
mod attack_d; // attacks on forward-auth
mod attack_e; // attacks on the admin API
mod attack_f; // attacks by number and size
mod attack_g; // attacks through a browser
mod attack_h; // attacks on secrets and the audit
mod attack_i; // attacks that begin before the start
mod audit; // who changed what, chained
mod bad; // the gallery of mistakes: what `check` says about each
mod check; // `check` for people and for programs, `explain` and `schema`
mod cli; // the command line against a running server
mod corpus; // the fuzzer's kept cases, and the rest that must hold for any bytes
mod disk; // whether the files say what is running
mod embedded; // a program of somebody's own around Monolith
mod events; // what happens, as it happens
mod explain; // why a key is refused
mod forward_auth; // gateways ask whether their callers may come in
mod fresh; // how old an answer about a key may be, whatever happens to the database
mod fresh_usage; // how often keys are used, and when last
mod gateways; // the shipped gateway configurations
mod http; // the API's manners
mod identity; // the same database under another address, and another one under the same name
mod import; // keys that were issued elsewhere
mod keys; // the life of an API key, in each home
mod limits; // one rate limit for all replicas
mod listen; // sockets that move, doors, limits that change
mod migrate; // replicas that start at once on an empty database
mod mistakes; // what is wrong at the start is told, and nothing is started
mod openapi; // the API's description, as it was reviewed
mod outcome; // what a reload answers
mod ping; // somebody outside is told of each success
mod plan; // what a text would change, before it does
mod readme; // the README's tour, run as it stands
mod reload; // an edit takes effect as a whole or changes nothing
mod replicas; // several processes on one database: who they are, and the receipt of a revocation
mod revisions; // what was made of the settings, and starting from what ran last
mod rotate; // rotated passwords on real servers
mod run_output; // what a run writes, while it goes on
mod secrets; // secrets as operators give them
mod sentinel; // no secret is ever told
mod simulate; // ticks as they are foretold
mod skew; // replicas whose clocks disagree
mod stores; // stores that are down, die and come back
mod storm; // reloads without pause under load
mod swaps; // the ways in which a file changes in the field
mod tidy; // the layers, and what every file owes its reader
mod tls; // certificates, shown and swapped
mod tokens; // who may do what, and the attacks on admin tokens
mod worker_commands; // `monolith workers` against a running server
mod worker_process; // a process that only runs workers, beside one that runs none
mod workers; // scheduled work, recorded once
