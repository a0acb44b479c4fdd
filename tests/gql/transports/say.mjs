// What the scripts tell the test: one JSON value a line.
export const say = (what, value = null) => console.log(JSON.stringify([what, value]));

/** Ends the script when all is said, although a client may still keep something open. */
export const finish = (value) => {
  say("done", value);
  process.exit(0);
};
