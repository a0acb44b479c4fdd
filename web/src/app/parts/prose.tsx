/** Texts of the server, in which names stand between backticks. */

/** Show the `code` of descriptions as code. */
export function Prose({ text }: { readonly text: string }) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}
