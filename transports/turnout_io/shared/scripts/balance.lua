-- States what one process holds of a fixed amount, and grants it more: slots of a concurrency limit, or money.
--
-- KEYS[1]  a hash with the whole state, so it is lost as a whole or not at all
--   e      epoch: the name of this state
--   g      until when nothing is granted, because the processes report what they hold
--   l      time of the last request
--   b      what processes that are gone have spent, or are presumed to have spent
--   p      processes, packed: name -> {spent, held, sequence, seen, need, want, turn, next}
-- ARGV     kind bound process sequence spent held need want floor epoch leaving lasts channel
-- Returns  {granted, free, base, elsewhere, waiting, processes, again, epoch, gathering, folded}
--
-- Every value is a total, never a difference: to apply a request twice changes nothing. There is one write, at the end.

-- The constants of turnout.shared.leases.timing, in milliseconds.
local BEAT = 500
local GATHER, PAUSE, LIFE = 5 * BEAT, 10 * BEAT, 20 * BEAT
local SPENT, HELD, SEQUENCE, SEEN, NEED, WANT, TURN, NEXT = 1, 2, 3, 4, 5, 6, 7, 8

local key = KEYS[1]
local money = ARGV[1] == 'money'
local bound, process, sequence = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local spent, held, need, want = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local floor, epoch, leaving = tonumber(ARGV[9]), ARGV[10], ARGV[11] == '1'
local lasts, channel = tonumber(ARGV[12]), ARGV[13]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local stored = redis.call('HMGET', key, 'e', 'g', 'b', 'p', 'l')
local state, gather_until, base = stored[1], tonumber(stored[2]), tonumber(stored[3] or 0)
local holders = stored[4] and cmsgpack.unpack(stored[4]) or {}
local silence = now - tonumber(stored[5] or now)
if not state then
  state = process .. '.' .. string.format('%.0f', now)
  gather_until = now + GATHER
end
gather_until = math.min(gather_until, now + GATHER) -- the clock may have been set back
base = math.max(base, floor)
if silence > PAUSE then
  -- Nobody could reach the store, so nobody is presumed dead for it. What was taken meanwhile is reported first.
  for name, holder in pairs(holders) do
    holder[SEEN] = holder[SEEN] + silence
    if not money and name ~= process then gather_until = now + GATHER end
  end
end

local function save()
  redis.call('HSET', key, 'e', state, 'g', gather_until, 'b', base, 'p', cmsgpack.pack(holders), 'l', now)
  if lasts > 0 then redis.call('PEXPIREAT', key, string.format('%.0f', now + lasts)) end
end

-- Who has sent nothing for long is presumed dead: its money is spent, its slots are free.
local freed, processes = 0, 0
for name, holder in pairs(holders) do
  holder[SEEN] = math.min(holder[SEEN], now)
  holder[NEXT] = math.min(holder[NEXT], now + 2 * BEAT)
  if name ~= process and now - holder[SEEN] > LIFE then
    if money then base = base + holder[SPENT] + holder[HELD] else freed = freed + holder[HELD] end
    holders[name] = nil
  else
    processes = processes + 1
  end
end

local me = holders[process]
if not me and money and epoch == state and sequence > 1 then
  -- It was presumed dead, and its money is in the base: to add its totals again would count them twice.
  save()
  return {0, 0, base, 0, 0, math.max(1, processes), 0, state, 0, 1}
end
me = me or {0, 0, -1, 0, 0, 0, 0, 0}
local fresh = sequence > me[SEQUENCE]
leaving = leaving and fresh -- a request of an earlier connection may arrive last, and the process has come back since
local waited = me[WANT] > 0 and now <= me[NEXT] + 2 * BEAT
if fresh then
  local before, after = me[HELD], held
  if money then before, after = before + me[SPENT], after + spent end
  freed = freed + math.max(0, before - after)
  me[SPENT], me[HELD], me[SEQUENCE] = math.max(me[SPENT], spent), held, sequence
end
me[SEEN], me[NEXT], me[NEED], me[WANT] = now, now, 0, 0
if leaving then
  if money then base = base + me[SPENT] else freed = freed + me[HELD] end
  holders[process] = nil
else
  holders[process] = me
end

local total, elsewhere, waiting, claimed, needed, first = 0, 0, 0, 0, 0, nil
processes = 0
local function waits(holder) -- and has kept its promise to come back
  return holder[WANT] > 0 and now <= holder[NEXT] + 2 * BEAT
end
for name, holder in pairs(holders) do
  processes = processes + 1
  total = total + holder[SPENT] + holder[HELD]
  if name ~= process then
    elsewhere = elsewhere + holder[HELD]
    if waits(holder) then
      waiting = waiting + 1
      claimed = claimed + holder[WANT]
      if not first or holder[TURN] < first then first = holder[TURN] end
    end
  end
end

local free = bound - base - total
local granted, again = 0, 0
if want > 0 and fresh and not leaving then
  if now < gather_until then
    if need > 0 then me[WANT], me[NEED] = want, need end
    again = math.min(gather_until - now, 2 * BEAT)
  else
    if need <= 0 then
      -- No call waits: a stock for the next ones, while there is plenty for everybody.
      granted = math.max(0, math.min(want, math.floor((free - claimed) / (2 * math.max(1, processes)))))
    else
      if not waited and first then me[TURN] = math.max(me[TURN], first) end
      for name, holder in pairs(holders) do
        -- One that cannot be served does not keep back the others.
        if name ~= process and waits(holder) and holder[NEED] <= free
          and (holder[TURN] < me[TURN] or (holder[TURN] == me[TURN] and name < process)) then
          needed = needed + holder[NEED]
        end
      end
      -- Blocks shrink as the end comes near, so that little of it lies idle.
      local left = free - needed
      granted = math.min(want, math.max(need, math.floor(left / (2 * (waiting + 1)))), left)
      if granted < need then
        granted = 0
        again = 2 * BEAT
      end
      me[WANT], me[NEED] = want - granted, need
    end
    me[HELD] = me[HELD] + granted
    me[TURN] = me[TURN] + granted
  end
  me[NEXT] = now + again
end
save()
-- Those that wait come back at once when something is free; those that hold idle amounts give back when somebody waits.
if freed > 0 and waiting > 0 then redis.call('PUBLISH', channel, 'free|' .. key) end
if need > granted and processes > 1 and now >= gather_until then redis.call('PUBLISH', channel, 'wait|' .. key) end
return {granted, math.max(0, free - granted), base, elsewhere, waiting, math.max(1, processes), again, state,
  now < gather_until and 1 or 0, 0}
