-- Renews the lease of one process on one limit: at most `limit` in any window.
--
-- KEYS[1]  a hash with the whole state of the limit, so it is lost as a whole or not at all
--   e      epoch: the name of this state; a new one after a flush or an eviction
--   g      until when nothing is granted, because the processes report what they spent
--   l      time of the last request
--   c      credit: what may be granted at once (a token bucket that shapes, and does not bound)
--   w      buckets, packed: index, amount, index, amount, ... in ascending order
--   p      processes, packed: name -> {seen, turn, want, need, sequence, next, limit}
-- ARGV     window limit burst process sequence need want epoch flags released spent
-- Returns  {granted, now, free, credit, processes, again, epoch, limit, resync}
--
-- All times are milliseconds of the server's clock. A grant is booked in the last bucket in which it can be spent. The
-- next request of the process releases that booking, and books what was spent at its own time. There is one write, at
-- the end, so an error leaves the state as it was.

local FIRST_CREDIT, SMOOTH = 10, 1.1
local SEEN, TURN, WANT, NEED, SEQUENCE, NEXT, LIMIT = 1, 2, 3, 4, 5, 6, 7

local key = KEYS[1]
local window, limit, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local process, sequence = ARGV[4], tonumber(ARGV[5])
local need, want, epoch = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local full = string.find(ARGV[9], 'f', 1, true)
local returned = string.find(ARGV[9], 'r', 1, true)
local leaving = string.find(ARGV[9], 'l', 1, true)
local released, spent = ARGV[10], ARGV[11]

-- The constants of turnout.shared.leases.timing.
local beat = math.min(500, math.max(20, math.floor(window / 80)))
local grain = math.max(1, math.floor(window / 100))
local hold, gather = 4 * beat, 3 * beat

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local top = math.floor(now / grain) + math.ceil(hold / grain)

local stored = redis.call('HMGET', key, 'e', 'g', 'l', 'c', 'w', 'p')
local state, gather_until, last, credit = stored[1], tonumber(stored[2]), tonumber(stored[3]), tonumber(stored[4])
local buckets = stored[5] and cmsgpack.unpack(stored[5]) or {}
local members = stored[6] and cmsgpack.unpack(stored[6]) or {}
if not state then
  state = process .. '.' .. string.format('%.0f', now)
  gather_until, last, credit = now + gather, now, math.min(burst, FIRST_CREDIT)
end

local function save()
  redis.call('HSET', key, 'e', state, 'g', gather_until, 'l', last, 'c', string.format('%.17g', credit),
    'w', cmsgpack.pack(buckets), 'p', cmsgpack.pack(members))
end

if epoch ~= state and not full then
  save()
  return {0, now, 0, 0, 1, 0, state, limit, 1}
end

local function add(index, amount)
  local at = #buckets - 1
  while at >= 1 and buckets[at] > index do at = at - 2 end
  if at >= 1 and buckets[at] == index then
    buckets[at + 1] = buckets[at + 1] + amount
  else
    table.insert(buckets, at + 2, amount)
    table.insert(buckets, at + 2, index)
  end
end

-- The clock may have been set back: what lies in the future counts as now.
last = math.min(last, now)
gather_until = math.min(gather_until, now + gather)
for _, member in pairs(members) do
  member[SEEN] = math.min(member[SEEN], now)
  member[NEXT] = math.min(member[NEXT], now + 2 * beat)
end

-- Drop the buckets that have left the window.
local kept, sum, late = {}, 0, 0
for at = 1, #buckets, 2 do
  local index, amount = buckets[at], buckets[at + 1]
  if index > top then
    late = late + amount
  elseif amount > 0 and (index + 1) * grain + window > now then
    kept[#kept + 1] = index
    kept[#kept + 1] = amount
    sum = sum + amount
  end
end
buckets = kept
if late > 0 then
  add(top, late)
  sum = sum + late
end

local me = members[process] or {now, 0, 0, 0, -1, 0, 0}
leaving = leaving and sequence >= me[SEQUENCE] -- one of an earlier connection may arrive last

-- Nobody could reach the store for a while: what was spent meanwhile is reported before anything is granted.
if now - last > gather and (returned or full or spent ~= '' or sum > 0) then
  for name, member in pairs(members) do
    if name ~= process and last - member[SEEN] <= window then gather_until = now + gather end
  end
end

-- The smallest limit of the living holds: while a new limit is rolled out, two are known.
local known = limit
for name, member in pairs(members) do
  if now - member[SEEN] > window then
    members[name] = nil
  elseif name ~= process then
    limit = math.min(limit, member[LIMIT])
  end
end
me[LIMIT] = known

-- The credit grows at the rate that can be kept for a whole window. After a burst that is less than limit / window:
-- what was spent at once comes back at once, a window later.
local pace = limit / window
if burst < limit then
  local slack = math.max(2 * pace * grain, need)
  local back = SMOOTH * (limit - sum + slack)
  for at = 1, #buckets, 2 do
    pace = math.min(pace, back / ((buckets[at] + 1) * grain + window - now))
    back = back + SMOOTH * buckets[at + 1]
  end
end
credit = math.min(burst, credit + math.max(0, now - last) * math.max(0, pace))
last = now

-- Each number of a process is applied once: a request whose reply was lost is sent again.
if sequence > me[SEQUENCE] then
  local balance = 0
  for index, amount in string.gmatch(released, '(%d+):(%d+)') do
    index, amount = tonumber(index), tonumber(amount)
    for at = #buckets - 1, 1, -2 do
      if buckets[at] == index then
        local part = math.min(amount, buckets[at + 1])
        buckets[at + 1] = buckets[at + 1] - part
        sum = sum - part
        break
      end
    end
    balance = balance + amount
  end
  for age, amount in string.gmatch(spent, '(%d+):(%d+)') do
    amount = tonumber(amount)
    add(math.min(top, math.floor((now - tonumber(age)) / grain)), amount)
    sum = sum + amount
    balance = balance - amount
  end
  credit = math.min(burst, credit + math.max(0, balance))
  me[SEQUENCE] = sequence
end

local function waits(member) -- and has kept its promise to come back
  return member[WANT] > 0 and now <= member[NEXT] + 2 * beat
end

local waited = waits(me)
me[SEEN], me[NEXT], me[WANT], me[NEED] = now, now, 0, 0
members[process] = not leaving and me or nil

local processes, others, wants, claimed, first = 0, 0, {}, 0, nil
for name, member in pairs(members) do
  processes = processes + 1
  if name ~= process and waits(member) then
    others = others + 1
    wants[others] = member[WANT]
    claimed = claimed + member[WANT]
    if not first or member[TURN] < first then first = member[TURN] end
  end
end

-- The max-min share of an amount for this process and those that wait.
local function fair(amount)
  wants[#wants + 1] = want
  table.sort(wants)
  local left, part = amount, amount
  for at = 1, #wants do
    part = left / (#wants - at + 1)
    if wants[at] > part then break end
    left = left - wants[at]
    part = wants[at]
  end
  return part
end

-- Milliseconds until so much has left the window.
local function until_free(lack)
  for at = 1, #buckets, 2 do
    lack = lack - buckets[at + 1]
    if lack <= 0 then return (buckets[at] + 1) * grain + window - now end
  end
  return 2 * beat
end

local room = limit - sum
local granted, again = 0, 0
need = math.min(need, limit)
if want > 0 and not leaving then
  local allowed = credit
  -- A request that is larger than the burst needs all of the credit, and goes into debt.
  if need > burst and credit >= burst * 0.99 then allowed = need end
  local free = math.min(room, allowed)
  if now < gather_until then
    again = gather_until - now
    if need > 0 then me[WANT], me[NEED] = want, need end
  elseif need <= 0 then
    -- No call waits: a stock for the next calls, while there is plenty for everybody.
    granted = math.floor(math.max(0, math.min(want, (free - claimed) / (2 * math.max(1, processes)))))
  else
    -- Those that wait are served by amounts: the smallest turn first. Who was away gains nothing by it; this is said
    -- once, when it begins to wait, or the first in the order would be pushed back for ever.
    if not waited and first then me[TURN] = math.max(me[TURN], first) end
    me[NEED] = need
    local share = math.max(need, math.floor(fair(math.max(limit * beat / window, free))))
    local ahead = 0
    for name, member in pairs(members) do
      if name ~= process and waits(member)
        and (member[TURN] < me[TURN] or (member[TURN] == me[TURN] and name < process)) then
        ahead = ahead + math.max(member[NEED], math.min(member[WANT], share))
      end
    end
    local most = math.min(want, share, math.max(need, burst))
    local least = math.max(need, math.floor(most / 2)) -- no crumbs
    granted = math.floor(math.min(most, free - ahead))
    if granted < least then
      granted = 0
      local lack = ahead + least - room
      if lack > 0 then
        again = until_free(lack)
      else
        local aim = need > burst and burst or math.min(ahead + least, burst)
        again = math.max(1, math.floor((aim - math.min(room, credit)) * window / limit) + 1)
      end
    elseif granted < want then
      again = math.min(beat, math.floor(granted * (others + 1) * window / limit) + 1)
    end
    me[WANT] = want - granted
  end
  if granted > 0 then
    add(top, granted)
    credit = credit - granted
    me[TURN] = me[TURN] + granted
  end
  again = math.max(0, math.min(again, 2 * beat))
  me[NEXT] = now + again
end
save()
local left = now < gather_until and 0 or math.max(0, room - granted) -- unknown while the processes report
return {granted, now, left, math.max(0, math.floor(credit)), math.max(1, processes),
  math.floor(again), state, limit, 0}
