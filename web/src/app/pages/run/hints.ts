/** What to do about a failure, by its code; the message says what happened. */

const HINTS: Readonly<Record<string, string>> = {
  TIMED_OUT: 'Give the node more time in its timeouts, or find out why the other side is slow.',
  RATE_LIMITED: 'The other side asked for patience: let the node try more often, with longer waits.',
  NO_MODEL: 'Name a connection in the node, or configure the server’s model (ANABRANCH_LLM__…).',
  MODEL_UNAVAILABLE: 'Check that the model’s endpoint runs and that its address is right.',
  MODEL_REFUSED: 'The model’s endpoint did not take the request: check the model’s name, the key and the prompt’s length.',
  INVALID_RESPONSE: 'The answer did not have the form that was asked for: relax the schema, or ask more precisely.',
  CONNECTION_NOT_FOUND: 'Make a connection of this name, or correct the name in the node.',
  COLLECTION_NOT_FOUND: 'Make a collection of this name, or correct the name in the node.',
  TABLE_NOT_FOUND: 'Make a table of this name, or correct the name in the node.',
  CONNECTION_FAILED: 'The host did not answer: check its address, and that it runs.',
  ADDRESS_REFUSED: 'Private addresses are refused unless ANABRANCH_OUTBOUND__ALLOWED names host and port.',
  REDIRECT_REFUSED: 'The address redirects to a place that may not be reached: use the final address.',
  INVALID_URL: 'Check the address, and the template that makes it.',
  RESPONSE_TOO_LARGE: 'Ask for less, or raise maxResponseBytes of the node.',
  UNIQUE_VIOLATION: 'A row with this key exists: write with UPSERT, or with another key.',
  CONSTRAINT_VIOLATION: 'The row breaks a rule of the table: check the values.',
  INVALID_ROW: 'A value does not have its column’s type: check the templates of the values.',
  CREDENTIAL_REFUSED: 'Check the credential of the connection.',
  SUB_RUN_FAILED: 'The run that it called failed: open it, and look at what failed there.',
  SUB_RUN_CANCELED: 'Someone stopped the run that it called.',
  INVALID_SUB_INPUT: 'The input does not fit the schema of the workflow that is called: check the templates of its input.',
  TOKENS_EXHAUSTED: 'The run has used the tokens that it may: raise the limit in the workflow’s settings, or ask for less.',
  COST_EXHAUSTED: 'The run has cost what it may: raise the limit in the workflow’s settings, or ask for less.',
  PRICE_UNKNOWN: 'A cost can be limited only where the model’s price is known: name it in ANABRANCH_LLM__PRICES.',
  CRASHED: 'The processes that worked on it died again and again: look for why in the server’s log, then run it again.',
  PERMISSION_DENIED: 'The database’s role may not do this: grant it, or use another connection.',
};

export function hintFor(code: string): string | null {
  return HINTS[code] ?? null;
}
