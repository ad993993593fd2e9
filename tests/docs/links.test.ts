import { existsSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** Documents lead a reader through files, so every file they name must be there. */

const root = fileURLToPath(new URL('../..', import.meta.url))

async function documents(): Promise<string[]> {
  const found: string[] = []
  const exclude = (name: string) => name.includes('node_modules')
  for await (const path of glob('**/*.md', { cwd: root, exclude })) found.push(path)
  return found
}

/** Relative targets of `[text](target)`, without what follows `#`; what is in code blocks is not looked at. */
function linksOf(text: string): string[] {
  const prose = text.replaceAll(/```[\s\S]*?```/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => (target as string).split('#')[0] as string)
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
}

test('every link of every document leads to a file of the project', async () => {
  const dead: string[] = []
  const all = await documents()
  for (const document of all) {
    const text = await readFile(join(root, document), 'utf8')
    for (const target of linksOf(text)) {
      if (!existsSync(join(root, dirname(document), target))) dead.push(`${document}: ${target}`)
    }
  }
  expect(dead).toEqual([])
  expect(all).toContain('README.md')
})

test('a dead link would be found', () => {
  expect(linksOf('see [this](a/b.md#part) and [that](https://x.y) ```[no](c)```')).toEqual([
    'a/b.md',
  ])
})
