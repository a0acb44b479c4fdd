/** What opens over the editor. */

import { Dialog } from '../../parts/dialog';
import { ExportFile, ImportFile } from './file-dialogs';
import { Publish } from './publish';
import { RunForm } from './run-form';
import { Settings } from './settings';
import { Shortcuts } from './shortcuts';
import { useWorkbench } from './workbench';

const TITLES = {
  run: 'Run',
  publish: 'Publish',
  export: 'Export as a file',
  import: 'Import a file',
  settings: 'Settings',
  shortcuts: 'Keyboard shortcuts',
} as const;

export function Dialogs() {
  const { opened, open } = useWorkbench();
  const close = () => open(null);
  return Object.entries(TITLES).map(([type, title]) => (
    <Dialog key={type} title={title} isOpen={opened?.type === type} onClose={close}>
      {type === 'run' && <RunForm />}
      {type === 'publish' && <Publish onDone={close} />}
      {type === 'export' && <ExportFile />}
      {type === 'import' && <ImportFile onDone={close} />}
      {type === 'settings' && <Settings onDone={close} />}
      {type === 'shortcuts' && <Shortcuts />}
    </Dialog>
  ));
}
