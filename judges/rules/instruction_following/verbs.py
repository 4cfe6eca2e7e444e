"""Is an English word a form of a verb? A list of common verbs and their forms, for instructions about the first word.

A tagger of parts of speech would tell more (it reads the whole sentence) and err more (`Run`, `Ensure` and `Summarize`
are nouns to NLTK's at the start of a sentence); it also needs data that no package carries. Words that stand far more
often for a thing than for an action when they open a response (`water`, `book`, `plan`) are left out, modal verbs too.
"""

from __future__ import annotations

from functools import cache

_REGULAR = """
abandon abolish absorb abuse accelerate accept access accompany accomplish accuse achieve acknowledge acquire act
adapt add address adhere adjust administer admire admit adopt advance advertise advise advocate affect afford agree
aim alert align allocate allow alter amend amplify analyse analyze animate annotate announce annoy answer anticipate
apologise apologize appeal appear append apply appoint appreciate approach approve argue arrange arrest arrive
articulate ask assemble assert assess assign assist associate assume assure attach attack attain attempt attend
attract augment authenticate authorise authorize automate avoid await bake balance ban bargain base batch beg behave
believe belong benefit betray blame blend bless block blossom boast boil bond boost borrow bother bounce bow brace
brainstorm breathe broaden browse brush build bundle burn bury calculate calibrate call calm cancel capitalise
capitalize capture care carry carve categorise categorize cause cease celebrate center challenge change characterise
characterize charge chase chat check cheer cherish chop circle cite claim clarify classify clean clear click climb
clone close coach collaborate collapse collect combine comfort command comment commit communicate compare compete
compile complain complement complete comply compose comprehend compress comprise compute conceal conceive concentrate
conclude condense conduct configure confirm connect conquer consider consist consolidate construct consult consume
contact contain contemplate continue contract contradict contrast contribute control convert convey convince cook cool
cooperate coordinate copy correct correlate count craft crash create criticise criticize cross cry cultivate cure
customise customize dance dare debate debug decide declare decline decode decompose decorate decrease dedicate deduce
define delay delegate delete deliver demand demonstrate deny depart depend depict deploy derive describe deserve
design desire destroy detach detail detect determine develop devise devote diagnose differ differentiate digest
diminish direct disagree disappear discard discharge disclose discourage discover discuss dismiss display dissolve
distinguish distribute dive diversify divide document dominate donate double doubt download draft drag dream dress
drop dry earn ease echo edit educate elaborate elevate eliminate embark embed embody embrace emerge emit emphasise
emphasize employ empower enable encode encounter encourage end endorse endure enforce engage enhance enjoy enlarge
enlighten enrich enrol enroll ensure entail enter entertain envision equip erase escape escort establish estimate
evaluate evoke evolve examine exceed exchange excite exclude execute exercise exhibit exist expand expect experience
experiment explain explode exploit explore export expose express extend extract face facilitate factor fail
familiarise familiarize fasten fear fetch fill filter finalise finalize finish fix flag flip float flourish flow focus
fold follow force forecast form formalise formalize format formulate foster frame free fry fulfil fulfill function
fuse gain gather gaze generalise generalize generate glance gleam govern grab grade graduate grant grasp greet group
guarantee guard guess guide handle happen harness harvest hate heal heat help hesitate highlight hire hope host hover
hug hunt hurry identify ignore illuminate illustrate imagine imitate immerse impact implement imply import impose
impress improve improvise include incorporate increase indicate infer inflate influence inform inherit inhibit
initialise initialize initiate inject innovate input inquire insert insist inspect inspire install instruct integrate
intend intensify interact interpret intervene interview introduce invent invest investigate invite involve isolate
iterate join joke jot judge juggle jump justify kick kill kiss knock label lack land last laugh launch lean learn
lecture lend lessen level leverage liberate lift limit link list listen live load locate lock log long look loop love
lower maintain manage manipulate mark marry marvel mash master match maximise maximize measure meditate melt memorise
memorize mention merge migrate minimise minimize miss mix model moderate modify monitor motivate mount mourn move
multiply navigate negotiate nest normalise normalize note notice notify nourish nurture obey observe obtain occur
offer offset omit open operate opt optimise optimize order organise organize orient outline overlap oversee owe own
pack paint parse participate pass paste pause perceive perfect perform permit persist persuade pick picture place play
plead pledge plot pluck plunge ponder possess post pour practice practise praise pray precede predict prefer prepare
prescribe present preserve press pretend prevent print prioritise prioritize proceed process produce program prohibit
project promise promote prompt pronounce propose protect protest prove provide publish pull pump punish purchase
pursue push question quote race raise rank rate reach react realise realize rearrange reason reassess recall receive
reckon recognise recognize recommend reconsider record recover recruit recycle redesign redirect reduce refactor refer
refine reflect reform refrain refresh refuse regard register regret regulate reinforce reject rejoice relate relax
release rely remain remark remember remind remove rename render renew rent repair repeat rephrase replace replicate
reply report represent reproduce request require rescue research resemble reserve reset resist resolve respect respond
rest restart restore restrict result resume retain retire retrieve return reveal reverse review revise revisit revive
revolutionise revolutionize reward rewrite rinse risk roast roll rotate round rush sail sample satisfy save savor
savour scale scan scatter schedule score scream search secure seem select separate serve settle shape share shift
shiver shout showcase sign signal simmer simplify simulate sketch skip slice slip smell smile snatch soak soar solve
sort sound specify spell spice spill split sprinkle stack start state stay steam step stimulate stir stop store
strengthen stretch strive structure struggle study submit subscribe substitute subtract succeed suffer suggest suit
summarise summarize supplement supply support suppose surpass surprise surround survive suspect suspend sustain swap
switch synthesise synthesize tackle tailor talk taste tend test thank think threaten thrive tie toast toss touch tour
trace track train transcribe transfer transform translate transmit transport travel treasure treat trick trigger trim
trust try tuck tune turn type uncover underline unearth unify unite unleash unlock unpack unveil update upgrade upload
urge use utilise utilize validate value vanish vary verify view visit visualise visualize vote wait walk wander want
warm warn wash waste watch wave weigh welcome whisk whisper widen wipe wish witness wonder work worry wrap yearn yell
yield zoom
"""
_IRREGULAR = """
be am is are was were been have has had do does did done go goes went gone get gets got gotten make makes made take
takes took taken give gives gave given say says said see sees seen know knows knew known find finds found tell tells
told keep keeps kept let lets put puts brings brought begin begins began begun write writes wrote written sit sits sat
stand stands stood lose loses pay pays paid meet meets met run runs ran set sets lead leads led understand understands
understood speak speaks spoke spoken read reads spend spends spent grow grows grew grown win wins won teach teaches
taught buy buys bought send sends sent fall falls fell fallen cut cuts sell sells sold hold holds held hear hears
heard become becomes became leave feel feels felt mean meant show shows showed shown sing sings sang sung swim swims
swam swum throw throws threw thrown draw draws drew drawn drive drives drove driven eat eats ate eaten drink drinks
drank drunk sleep sleeps slept wake wakes woke woken wear wears wore worn fight fights fought catch catches caught
choose chooses chose chosen break breaks broke broken build builds built forget forgets forgot forgotten forgive
forgives forgave forgiven hide hides hid hidden ride rides rode ridden rise rises rose risen seek seeks sought shake
shakes shook shaken shine shines shone steal steals stole stolen stick sticks stuck strike strikes struck swear swears
swore sworn tear tore torn fly flies flew flown feed feeds fed dig digs dug bind binds bound bend bends bent bite
bites bit bitten blow blows blew blown breed breeds bred cast casts clings clung costs creep creeps crept deal deals
dealt freeze freezes froze frozen hang hangs hung hit hits hurt hurts kneel kneels knelt lay lays laid lie lit quit
quits ring rings rang rung shed sheds shoot shoots shot shut shuts slide slides slid spin spins spun spread spreads
sprang sprung sweep sweeps swept swings swung think thinks weave weaves wove woven undergo undergoes underwent
undergone undertake undertakes undertook undertaken overcome overcomes overcame withdraw withdraws withdrew withdrawn
arise arises arose arisen come comes came
"""
_NOT_WHEN_FIRST_WORDS = """
access act aim alert appeal approach attack balance ban bargain base batch benefit block bond bow brace care cause
center challenge charge chat claim coach comfort command comment complement conduct contact contract contrast control
cool correct cure decline delay demand desire detail direct display document doubt dream dry ease echo end experience
experiment export factor fear force form frame free function gain group heat host impact import influence input joke
judge lack land last level live long loop love lower master model moderate mount nest offer order own perfect picture
plot post practice praise present process program project promise protest purchase question race reason reform regard
remark rent report research reserve result reward risk round sample scale signal smell sound spice structure struggle
suit supply surprise tie toast tour transport travel treasure trick trigger tune value warm waste welcome whisper
witness work worry yield
"""
_NOT_WHEN_FIRST = frozenset(_NOT_WHEN_FIRST_WORDS.split())
"""Bare forms that open a text as a noun or an adjective more often than as a verb."""
_VOWELS = "aeiou"


_NO_VERBS_IN_ING_WORDS = """
anything ceiling clothing darling during evening everything inkling morning nothing offspring pudding sibling
something sterling string thing wedding
"""
_NO_VERBS_IN_ING = frozenset(_NO_VERBS_IN_ING_WORDS.split())
_SHORTEST_IN_ING = 5
"""Letters of the shortest word in -ing that is taken for a verb without being listed: not `king`, not `wing`."""


def is_verb_form(word: str) -> bool:
    """Is the word, whatever its case, a form of an English verb that can open a text as a verb?

    The forms in -s of regular verbs are left out: `Studies` and `Values` open a text as nouns.
    """
    word = word.lower()
    if word.endswith("ing") and len(word) >= _SHORTEST_IN_ING and word.isalpha():
        return word not in _NO_VERBS_IN_ING
    return word in _forms()


@cache
def _forms() -> frozenset[str]:
    forms = {form for verb in _REGULAR.split() for form in _inflected(verb)}
    return frozenset((forms | set(_IRREGULAR.split())) - _NOT_WHEN_FIRST)


def _inflected(verb: str) -> list[str]:
    """The verb and its forms in -ed, in every spelling that its letters allow."""
    if verb.endswith("e"):
        return [verb, verb + "d"]
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return [verb, verb[:-1] + "ied"]
    doubles = verb[-1] not in _VOWELS + "wxy" and verb[-2] in _VOWELS
    return [verb, verb + "ed", *([verb + verb[-1] + "ed"] if doubles else [])]
