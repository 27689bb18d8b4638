import { Dialog, Kbd } from '@/ui';
import { shortcutList } from './shortcuts';
import classes from './ShortcutsDialog.module.css';

const places = [...new Set(shortcutList.map(({ where }) => where))];

/** Lists every shortcut. */
export function ShortcutsDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Dialog opened={opened} onClose={onClose} title="Keyboard shortcuts">
      {places.map((place) => (
        <section key={place} className={classes.place}>
          <h3 className={classes.title}>{place}</h3>
          <dl className={classes.list}>
            {shortcutList
              .filter(({ where }) => where === place)
              .map(({ keys, does }) => (
                <div key={does} className={classes.item}>
                  <dt>{does}</dt>
                  <dd>
                    {keys.map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
