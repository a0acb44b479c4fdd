/** Where an address leads nowhere. */

import { Link } from 'wouter';
import { Empty } from '../parts/empty';

const SAYS = {
  page: ['No such page', 'There is nothing at this address.'],
  run: ['No such run', 'It does not exist, or it belongs to a workspace that you are not a member of.'],
  workflow: ['No such workflow', 'It does not exist, or it belongs to a workspace that you are not a member of.'],
} as const;

export function NotFound({ what }: { readonly what: keyof typeof SAYS }) {
  const [title, hint] = SAYS[what];
  return (
    <Empty title={title}>
      <p>{hint}</p>
      <Link href="/" className="button">
        All workflows and runs
      </Link>
    </Empty>
  );
}
