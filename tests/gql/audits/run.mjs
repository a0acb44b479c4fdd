// Runs every audit against the address given and prints the results as JSON.
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
const told = [];
for (const result of results) {
  const { id, name, status } = result;
  told.push({ id, name, status, reason: "reason" in result ? result.reason : null });
  await result.response?.body?.cancel?.();
}
console.log(JSON.stringify(told));
