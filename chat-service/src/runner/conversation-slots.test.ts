import type { Command } from '@parley/proto/commands'
import { newId } from '@parley/proto/ids'
import { expect, it } from 'vitest'
import { emptyConversation, keep } from '../sequencer/state.ts'
import { ConversationSlots, type Item } from './conversation-slots.ts'

const at = (offset: number) => ({ epoch: 1, offset, index: 0 })
const stored = at(1_000)

/** A conversation in memory with ten accepted ids, all of them stored. */
function loadedSlots(bounds: { maxWeight: number; keptIds: number }) {
  const slots = new ConversationSlots(bounds)
  const slot = slots.take(newId())
  const state = emptyConversation(slot.conversation)
  for (let n = 1; n <= 10; n++) {
    const event = { hash: `${n}`, seq: n, at: n, kind: 'message', sender: newId() } as const
    keep(state, newId(), { ...event, position: at(n) })
  }
  state.head = 10
  state.lastPosition = at(10)
  slots.loaded(slot, state)
  slots.grown(slot, 10)
  const item: Item = { position: at(11), command: {} as Command, replyTo: '', aloud: true }
  return { slots, slot, state, item }
}

it('[R8] ids are dropped only while nothing of the conversation waits', () => {
  const { slots, slot, state, item } = loadedSlots({ maxWeight: 1_000, keptIds: 3 })
  slots.park(slot, item)
  slots.tidy(stored)
  expect(state.kept.size).toBe(10)
  slots.unpark(slot, 1)
  slots.tidy(stored)
  expect(state.kept.size).toBe(3)
})

it('[R13] a conversation leaves memory only while nothing of it waits', () => {
  const { slots, slot, item } = loadedSlots({ maxWeight: 5, keptIds: 100 })
  slots.park(slot, item)
  slots.tidy(stored)
  expect(slots.take(slot.conversation)).toBe(slot)
  slots.unpark(slot, 1)
  slots.tidy(stored)
  expect(slots.take(slot.conversation)).not.toBe(slot)
})

it('[R13] [R8] nothing leaves before it is stored', () => {
  const { slots, slot, state } = loadedSlots({ maxWeight: 5, keptIds: 3 })
  slots.tidy(at(5))
  expect(slots.take(slot.conversation)).toBe(slot)
  expect(state.kept.size).toBe(6)
})
